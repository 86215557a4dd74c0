"""How a command ends: its exit codes, and the errors that lead to them."""

from __future__ import annotations

import enum

from vaeserve.errors import ClientError, DeadlineError, ProblemError, UnreachableError

_NO_ANSWER = frozenset({429, 502, 503, 504})


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
    Exit.FAILED: "it failed: the service refused, or a file can't be read or written",
    Exit.USAGE: "wrong usage, or nothing to work on",
    Exit.SKIPPED: "done, but some files were skipped; each is named on standard error",
    Exit.NO_ANSWER: "no answer: nothing listens, no room, no model that serves, or too late",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
    Exit.NO_READER: "whoever read the output has gone, such as `head`",
}


class CommandError(Exception):
    """What ends a command with a sentence; `code` is its exit code."""

    code = Exit.FAILED


class UsageError(CommandError):
    """The command can't be carried out as it was given."""

    code = Exit.USAGE


def exit_of(error: ClientError) -> Exit:
    """The exit code for what a client raised."""
    if isinstance(error, UnreachableError | DeadlineError):
        return Exit.NO_ANSWER
    if isinstance(error, ProblemError) and error.status in _NO_ANSWER:
        return Exit.NO_ANSWER
    return Exit.FAILED
