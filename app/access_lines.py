"""Writes the access log: a line of JSON for each request, those of one turn of the loop at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

import orjson

LOGGER = "vaeserve.access"

WHOLE_BYTES = 4096
"""What a pipe takes whole (PIPE_BUF on Linux), so that workers who share one mix no lines."""


def standard_output() -> BinaryIO:
    """What `sys.stdout` writes to now."""
    return sys.stdout.buffer


class AccessLines:
    """Joins the lines of requests that end in the same turn of the event loop into one write.

    They look as `app.logs` has them and heed the level of the logger `vaeserve.access`, but do not
    pass through `logging`, which takes as long for a line as FastAPI does to route a request.

    Args:
        worker: the number that each line names as its `worker`, or 0 for none.
        stream: asked for what to write to.
    """

    def __init__(self, worker: int = 0, stream: Callable[[], BinaryIO] = standard_output) -> None:
        self._logger = logging.getLogger(LOGGER)
        self._own = {"worker": worker} if worker else {}
        self._stream = stream
        self._lines: list[bytes] = []
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
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Writes what waits. Where nobody takes the log, requests are answered all the same."""
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError, ValueError):  # a broken pipe, a closed file
            stream = self._stream()
            for piece in _pieces(lines):
                stream.write(piece)
                stream.flush()

    def _now(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._time = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now))
        return self._time


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines joined to at most `WHOLE_BYTES`; a longer line is alone."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > WHOLE_BYTES:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece
