"""A folder's images through a verb, a request's worth at a time; what is no image is skipped.

No more than one request's files are in memory.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from app.cli.exits import CommandError
from app.cli.files import shown
from app.cli.progress import Progress
from vaeserve.errors import ProblemError

T = TypeVar("T")

IMAGES = 64
_BYTES = 16 * 1024 * 1024
_LARGEST = 32 * 1024 * 1024
_UNUSABLE = frozenset({"invalid_picture", "picture_too_large"})
_INDEX = re.compile(r"^image \d+: ")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is no usable image, and why."""

    path: Path
    reason: str


@dataclass(slots=True)
class Batches(Generic[T]):
    """Asks a verb about files.

    Args:
        ask: the verb, for image files.
        progress: is told of every file.
        strict: whether a file that is no usable image ends the command.
    """

    ask: Callable[[list[bytes]], T]
    progress: Progress
    strict: bool
    done: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def answers(self, paths: Iterable[Path]) -> Iterator[tuple[list[Path], T]]:
        """The paths of a request's images and the verb's answer, in the order of the paths.

        Raises:
            CommandError: `strict`, and a file is no usable image.
            ClientError: whatever else the client raises.
        """
        for there, files in self._requests(paths):
            answer = self._answer(there, files)
            if answer is not None:
                yield there, answer
                self.done += len(there)
                self.progress.advance(len(there))

    def _requests(self, paths: Iterable[Path]) -> Iterator[tuple[list[Path], list[bytes]]]:
        there: list[Path] = []
        files: list[bytes] = []
        total = 0
        for path in paths:
            try:
                content = _content(path)
            except OSError as error:
                self._skip(path, error.strerror or str(error))
                continue
            if files and (len(files) == IMAGES or total + len(content) > _BYTES):
                yield there, files
                there, files, total = [], [], 0
            there.append(path)
            files.append(content)
            total += len(content)
        if files:
            yield there, files

    def _answer(self, there: list[Path], files: list[bytes]) -> T | None:
        """Asks about the files, without those that turn out to be unusable; None without any."""
        while files:
            try:
                return self.ask(files)
            except ProblemError as problem:
                index = _unusable(problem, len(files))
                if index is None:
                    raise
                del files[index]
                self._skip(there.pop(index), _INDEX.sub("", problem.detail))
        return None

    def _skip(self, path: Path, reason: str) -> None:
        if self.strict:
            msg = f"{shown(path)}: {reason}"
            raise CommandError(msg)
        self.skipped.append(Skipped(path, reason))
        self.progress.note(f"skipped {shown(path)}: {reason}")
        self.progress.advance(1)


def _unusable(problem: ProblemError, count: int) -> int | None:
    """Which of `count` files is at fault; None where the request is."""
    if problem.code in _UNUSABLE and problem.index is not None and problem.index < count:
        return problem.index
    return 0 if problem.code == "body_too_large" and count == 1 else None


def _content(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        OSError: it can't be read, or never ends, or is larger than any service takes by default.
    """
    # A pipe may be meant, as in <(command); a device such as /dev/zero never ends.
    if not (path.is_file() or path.is_fifo()):
        raise OSError(errno.EINVAL, "it is neither a file nor a pipe")
    if path.stat().st_size > _LARGEST:
        raise OSError(errno.EFBIG, f"it has more than {_LARGEST} bytes")
    return path.read_bytes()
