"""Logs, counts and names each request, and answers when an error escapes every handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import STATUS, ClientDisconnectedError, ServiceError, ShuttingDownError
from app.http.headers import first
from app.http.logs import TIME_FORMAT
from app.http.problems import error_answer

LOGGER = "vaeserve.access"

WHOLE_BYTES = 4096
"""Bytes that a pipe takes in one piece (PIPE_BUF on Linux), so workers never mix their lines."""

CUT = "cut"
"""The key in a request's state for the error code that cut off its response."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_LONGEST_PATH = 800  # keeps a line below WHOLE_BYTES
_QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})

logger = logging.getLogger("vaeserve")


class AccessLog:
    """The outermost middleware: accepts or creates `X-Request-ID`, logs and counts each request.

    Args:
        observe: called with the route, the status and the duration in seconds.
        lines: writes the log.
    """

    def __init__(
        self, app: ASGIApp, observe: Callable[[str, int, float], None], lines: AccessLines
    ) -> None:
        self._app = app
        self._observe = observe
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answered = False
        request_id = _request_id(scope)
        scope.setdefault("state", {}).update(request_id=request_id, started=started)
        # This status stays if the client leaves before the response begins.
        status = STATUS[ClientDisconnectedError.code]

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                header = (b"x-request-id", request_id.encode())
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # Only the server cancels, after the grace period of a shutdown.
            if answered:
                raise
            detail = "the server is stopping and could not finish this request"
            await error_answer(scope, ShuttingDownError(detail))(scope, receive, send_with_id)
        except Exception:
            logger.exception("the server failed", extra={"members": {"request_id": request_id}})
            if answered:
                raise  # the server closes the connection, so the client sees a cut response
            detail = "the server failed; its log shows the reason under this request id"
            await error_answer(scope, ServiceError(detail))(scope, receive, send_with_id)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - started)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # The route's template, not the path: clients must not create metric labels.
        route = getattr(scope.get("route"), "path", "unknown")
        self._observe(route, status, seconds)
        level = logging.DEBUG if route in _QUIET_ROUTES and status < 400 else logging.INFO
        client = scope.get("client")
        line = {
            "method": scope["method"],
            "path": scope["path"][:_LONGEST_PATH],
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "request_id": request_id,
            "client": client[0] if client else None,
        }
        if CUT in scope["state"]:
            line["cut"] = scope["state"][CUT]
        self._lines.add(level, line)


def _request_id(scope: Scope) -> str:
    """The first one that was sent, if it is safe to log, or else a new one."""
    sent = first(scope, b"x-request-id").decode("latin-1")
    return sent if _SAFE_ID.fullmatch(sent) else os.urandom(16).hex()


def standard_output() -> BinaryIO | None:
    """Returns the current binary `sys.stdout`, or None if the process has no standard output."""
    return sys.stdout.buffer if sys.stdout else None


class AccessLines:
    """Writes the access log as lines of JSON, one write for each turn of the event loop.

    The lines look like those of `app.http.logs` and respect the level of `vaeserve.access`. If
    nobody reads the log, lines are dropped instead of delaying a request; the next written line
    reports their number as `dropped`.

    Args:
        worker: the `worker` number in each line; 0 leaves it out.
        stream: returns the stream to write to.
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
        """Adds a line, which is written at the end of this turn of the running event loop."""
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
        """Writes the waiting lines; a closed or broken stream loses them without an error."""
        waiting, self._lines = self._lines, []
        before, self._dropped = self._dropped, 0
        with contextlib.suppress(OSError, ValueError):
            if stream := self._stream():
                written = _write(stream, waiting)
                if written < len(waiting):
                    # If nothing was written, the line that reports `before` is lost too.
                    self._dropped = len(waiting) - written + (0 if written else before)

    def _now(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._time = time.strftime(TIME_FORMAT, time.localtime(now))
        return self._time


def _write(stream: BinaryIO, lines: Sequence[bytes]) -> int:
    """Writes lines in groups of at most `WHOLE_BYTES` while the stream takes them without waiting.

    Returns:
        The number of lines written.
    """
    written = 0
    while written < len(lines) and _is_ready(stream):
        end, size = written + 1, len(lines[written])
        while end < len(lines) and size + len(lines[end]) <= WHOLE_BYTES:
            size += len(lines[end])
            end += 1
        stream.write(b"".join(lines[written:end]))
        stream.flush()
        written = end
    return written


def _is_ready(stream: BinaryIO) -> bool:
    """Tells whether a pipe has room for `WHOLE_BYTES`; files and memory streams always do."""
    try:
        return bool(select.select((), (stream.fileno(),), (), 0)[1])
    except (OSError, ValueError):
        return True
