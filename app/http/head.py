"""HEAD: answered as GET is, without the content (RFC 9110 §9.3.2)."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import SENT_METHOD


class HeadAsGet:
    """ASGI middleware that routes HEAD as GET; the server below leaves the content out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # A copy: the server reads the method of its own scope to leave the content out.
        routed = {**scope, "method": "GET", SENT_METHOD: "HEAD"}
        try:
            await self._app(routed, receive, send)
        finally:
            scope["route"] = routed.get("route")
