"""What a command tells beside its result, on standard error: notes, and a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


def note(text: str) -> None:
    """A line on standard error."""
    print(f"vaeserve: {text}", file=sys.stderr)  # noqa: T201 a command's words


class Progress:
    """Counts images as they are done.

    Args:
        what: is being done, for the bar.
        total: counts how many there are; only called where there is a bar.
    """

    def __init__(self, what: str, total: Callable[[], int]) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(what, total=total())

    def advance(self, count: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def note(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is None:
            note(text)
        else:
            self._bar.console.print(f"vaeserve: {text}", markup=False, highlight=False)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Bar:
    # Imported late: rich takes longer than a short command, and has no use without a terminal.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
