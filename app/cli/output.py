"""Files that are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

from app.cli.exits import UsageError
from model.files import replacing


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


def write(path: Path, content: bytes) -> None:
    """Writes a whole file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
