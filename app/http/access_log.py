"""One line of JSON for each request, its id, its count, and the answer when all else failed.

The outermost middleware: what escapes here has passed every exception handler.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.access_lines import AccessLines
from app.http.problems import CLIENT_CLOSED_REQUEST, error_answer

logger = logging.getLogger("vaeserve")

CUT = "cut"
"""Where a request's state has the code of what cut its answer off, if anything did."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# So that the line is one that a pipe takes whole.
_LONGEST_PATH = 800
_QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})


class AccessLog:
    """Takes over or makes `X-Request-ID`, logs and counts each request.

    Args:
        observe: called with route, status and seconds.
        lines: where the log goes.
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
        # Without an answer, the caller left before a status was known.
        status = CLIENT_CLOSED_REQUEST

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
            # Only the server cancels, once the grace period of a shutdown is over.
            if answered:
                raise
            detail = "the server is stopping and could not finish this request"
            answer = error_answer(scope, "shutting_down", detail)
            await answer(scope, receive, send_with_id)
        except Exception:
            logger.exception("the server failed", extra={"members": {"request_id": request_id}})
            if answered:
                raise  # the server below cuts the connection, so that nobody takes it for whole
            detail = "the server failed; its log has the reason under this request id"
            answer = error_answer(scope, "internal", detail)
            await answer(scope, receive, send_with_id)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - started)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # The route's template, not the path: a label must not take whatever a client sends.
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
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            sent: str = value.decode("latin-1")
            return sent if _SAFE_ID.fullmatch(sent) else _new_id()
    return _new_id()


def _new_id() -> str:
    return os.urandom(16).hex()
