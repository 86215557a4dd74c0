"""Writes the access log: a line of JSON for each request, those of one turn of the loop at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import orjson

from app.http.logs import TIME_FORMAT

LOGGER = "vaeserve.access"

WHOLE_BYTES = 4096
"""What a pipe takes whole (PIPE_BUF on Linux), so that workers who share one mix no lines."""


def standard_output() -> BinaryIO | None:
    """What `sys.stdout` writes to now; None where the process was started without it."""
    return sys.stdout.buffer if sys.stdout else None


class AccessLines:
    """Joins the lines of requests that end in the same turn of the event loop into one write.

    They look as `app.http.logs` has them and heed the level of the logger `vaeserve.access`, but do
    not pass through `logging`, which takes as long for a line as FastAPI does to route a request.

    A log that nobody reads must keep no one waiting: lines are dropped as long as it is full, and
    the next one has their number as `dropped`.

    Args:
        worker: the number that each line names as its `worker`, or 0 for none.
        stream: asked for what to write to.
    """

    def __init__(
        self, worker: int = 0, stream: Callable[[], BinaryIO | None] = standard_output
    ) -> None:
        self._logger = logging.getLogger(LOGGER)
        self._own: dict[str, object] = {"worker": worker} if worker else {}
        self._stream = stream
        self._lines: list[bytes] = []
        self._dropped = 0
        self._second = 0
        self._time = ""

    def add(self, level: int, members: Mapping[str, object]) -> None:
        """Writes a line at the end of this turn of the running event loop."""
        if not self._logger.isEnabledFor(level):
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        line = {
            "time": self._now(),
            "level": logging.getLevelName(level).lower(),
            "logger": LOGGER,
            "message": "request",
            **self._own,
            **members,
        }
        if self._dropped and not self._lines:
            line["dropped"] = self._dropped
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Writes what waits. Where nobody takes the log, requests are answered all the same."""
        lines, self._lines = self._lines, []
        before, self._dropped = self._dropped, 0
        with contextlib.suppress(OSError, ValueError):  # a broken pipe, a closed file
            if stream := self._stream():
                written = _write(stream, lines)
                if written < len(lines):
                    # None of the lines that told of the earlier ones may have got through.
                    self._dropped = len(lines) - written + (0 if written else before)

    def _now(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._time = time.strftime(TIME_FORMAT, time.localtime(now))
        return self._time


def _write(stream: BinaryIO, lines: Sequence[bytes]) -> int:
    """Writes until the stream would make it wait, and returns how many lines it took."""
    written = 0
    for piece in _pieces(lines):
        if not _is_ready(stream):
            break
        stream.write(b"".join(piece))
        stream.flush()
        written += len(piece)
    return written


def _pieces(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Lines in groups of at most `WHOLE_BYTES`; a longer line is alone."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > WHOLE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield piece


def _is_ready(stream: BinaryIO) -> bool:
    """Whether a pipe takes `WHOLE_BYTES` at once; files and streams in memory always do."""
    try:
        return bool(select.select((), (stream.fileno(),), (), 0)[1])
    except (OSError, ValueError):
        return True
