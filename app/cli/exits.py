"""How a command ends: its exit codes, the errors that lead to them, and what it says."""

from __future__ import annotations

import enum
import sys

from vaeserve.errors import ClientError, DeadlineError, ProblemError, UnreachableError


class Exit(enum.IntEnum):
    """What a script can tell from the exit code."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 3
    NO_ANSWER = 4
    INTERRUPTED = 130
    NO_READER = 141


MEANINGS = {
    Exit.DONE: "everything was done",
    Exit.FAILED: "the service rejected a request, or a file can't be read or written",
    Exit.USAGE: "wrong usage, or no input",
    Exit.SKIPPED: "done, but some files were skipped; each is named on standard error",
    Exit.NO_ANSWER: "no service, queue full, model not serving, or deadline exceeded",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
    Exit.NO_READER: "the reader of the output, such as `head`, closed it",
}


class CommandError(Exception):
    """What ends a command with a sentence; `code` is its exit code."""

    code = Exit.FAILED


class UsageError(CommandError):
    """The command can't be carried out as it was given."""

    code = Exit.USAGE


def exit_of(error: ClientError) -> Exit:
    """The exit code for what a client raised."""
    if isinstance(error, ProblemError):
        return Exit.NO_ANSWER if error.status in (429, 502, 503, 504) else Exit.FAILED
    unanswered = isinstance(error, UnreachableError | DeadlineError)
    return Exit.NO_ANSWER if unanswered else Exit.FAILED


def note(text: str) -> None:
    """Writes a line on standard error; above the bar, if there is one."""
    print(f"vaeserve: {text}", file=sys.stderr)  # noqa: T201 a command's words
