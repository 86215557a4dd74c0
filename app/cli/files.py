"""The files that a command reads and writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.cli.exits import UsageError
from model.files import replacing

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def images_below(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as they are named, and those below folders that end like images, sorted by name.

    Nothing is kept of a folder but the names in it, so that millions of files may lie below.
    Links to folders are not followed.

    Raises:
        UsageError: a path is not there.
        OSError: a folder can't be listed.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for root, folders, names in os.walk(path, onerror=_raise):
            folders.sort()
            yield from (
                Path(root, name) for name in sorted(names) if name.lower().endswith(ENDINGS)
            )


def _raise(error: OSError) -> None:
    raise error


def shown(path: Path) -> str:
    """The path as text that any file and terminal takes, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def check_ending(path: Path, endings: tuple[str, ...]) -> str:
    """The path's ending in lower case, which is one of these.

    Raises:
        UsageError: it is none of them, or its folder is not there.
    """
    ending = path.suffix.lower()
    if ending not in endings:
        raise UsageError(f"{path} must end in one of {', '.join(endings)}")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist")
    return ending


def write(path: Path, content: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
