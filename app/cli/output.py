"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.cli.exits import UsageError


def check_ending(path: Path, endings: tuple[str, ...]) -> str:
    """The path's ending in lower case, which is one of these.

    Raises:
        UsageError: it is none of them, or its folder is not there.
    """
    ending = path.suffix.lower()
    if ending not in endings:
        msg = f"{path} must end in one of {', '.join(endings)}"
        raise UsageError(msg)
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} for {path.name} is not there"
        raise UsageError(msg)
    return ending


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when the block ends well.

    Raises:
        OSError: the folder can't be written to.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # As any other new file would have it; mkstemp makes it private.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Writes a whole file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
