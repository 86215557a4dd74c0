"""Images of files and folders through a verb, a request's worth at a time.

What is no image is skipped. No more than one request's files are in memory.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from app.cli.exits import CommandError, Exit, UsageError, note
from app.cli.files import ENDINGS, images_below, shown
from vaeserve.errors import ProblemError
from vaeserve.results import Answer

AnswerT = TypeVar("AnswerT", bound=Answer)
Batch = list[tuple[Path, bytes]]

IMAGES = 64
_BYTES = 16 * 1024 * 1024
_LARGEST = 32 * 1024 * 1024
_UNUSABLE = frozenset({"invalid_picture", "picture_too_large"})
_INDEX = re.compile(r"^image \d+: ")


class Batches:
    """The images of a command, and what became of them.

    Args:
        paths: of files and folders.
        done: what is done with the images, such as `encoded`.
        strict: whether a file that is no usable image ends the command.

    Raises:
        UsageError: there is no image, or a path is not there.
    """

    def __init__(self, paths: Sequence[Path], done: str, *, strict: bool) -> None:
        self._paths = paths
        self._what = done
        self._strict = strict
        self.done = 0
        self.skipped: list[dict[str, str]] = []
        """The `path` of each file that is no usable image, and the `reason`."""
        if next(images_below(paths), None) is None:
            msg = f"there is no image ({', '.join(ENDINGS)}) in {', '.join(map(str, paths))}"
            raise UsageError(msg)

    def answers(self, ask: Callable[[list[bytes]], AnswerT]) -> Iterator[tuple[list[str], AnswerT]]:
        """The paths of a request's images and the verb's answer, in the order of the paths.

        Args:
            ask: the verb, for image files.

        Raises:
            CommandError: `strict`, and a file is no usable image; or none is; or the model changed.
            ClientError: whatever else the client raises.
        """
        models: set[tuple[str, int]] = set()
        for batch in self._batches():
            if (answer := self._answer(ask, batch)) is None:
                continue
            models.add((answer.model, answer.version))
            if len(models) > 1:
                msg = f"{answer.model}/{answer.version} replaced the model; start again"
                raise CommandError(msg)
            yield [shown(path) for path, _ in batch], answer
            self.done += len(batch)
        if not self.done:
            raise CommandError(f"none of {len(self.skipped)} files could be {self._what}")

    def _batches(self) -> Iterator[Batch]:
        batch: Batch = []
        for path in self._tracked():
            try:
                content = _content(path)
            except OSError as error:
                self._skip(path, error.strerror or str(error))
                continue
            size = sum(len(one) for _, one in batch)
            if batch and (len(batch) == IMAGES or size + len(content) > _BYTES):
                yield batch
                batch = []
            batch.append((path, content))
        if batch:
            yield batch

    def _tracked(self) -> Iterator[Path]:
        """The images, with a bar on a terminal."""
        silent = not sys.stderr.isatty()
        total = None if silent else sum(1 for _ in images_below(self._paths))
        console = Console(stderr=True)
        images = images_below(self._paths)
        yield from track(images, self._what, total, console=console, transient=True, disable=silent)

    def _answer(self, ask: Callable[[list[bytes]], AnswerT], batch: Batch) -> AnswerT | None:
        """Asks about the files, without those that turn out to be unusable; None without any."""
        while batch:
            try:
                return ask([content for _, content in batch])
            except ProblemError as problem:
                index = _unusable(problem, len(batch))
                if index is None:
                    raise
                path, _ = batch.pop(index)
                self._skip(path, _INDEX.sub("", problem.detail))
        return None

    def _skip(self, path: Path, reason: str) -> None:
        if self._strict:
            raise CommandError(f"{shown(path)}: {reason}")
        self.skipped.append({"path": shown(path), "reason": reason})
        note(f"skipped {shown(path)}: {reason}")

    def summary(self) -> Exit:
        """Says what was skipped, and gives the exit code."""
        skipped = len(self.skipped)
        if not skipped:
            return Exit.DONE
        note(f"{self.done} images {self._what}, {skipped} file{'s' * (skipped > 1)} skipped")
        return Exit.SKIPPED


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
