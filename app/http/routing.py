"""Routes verbs without FastAPI's cost for each request, and answers HEAD like GET."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import ServiceError
from app.http.problems import SENT_METHOD, error_answer


class VerbRoute(APIRoute):
    """A FastAPI route whose endpoint takes the request and returns the response.

    FastAPI documents it like any other route. For each request it skips the resolution of
    parameters, three exit stacks and the search for exception handlers, which together take
    longer than all checks of a verb. It therefore answers only `ServiceError` itself.
    """

    endpoint: Callable[[Request], Awaitable[Response]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 FastAPI's arguments
        super().__init__(*args, **kwargs)
        self.app = self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await self.endpoint(request)
        except ServiceError as error:
            response = error_answer(scope, error)
        await response(scope, receive, send)


class VerbDispatch:
    """The innermost middleware: passes a POST to its verb's route without asking the router.

    The router tries one route after the other behind two more layers of middleware, which takes
    longer than everything else around a verb. All other requests go to it.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        verbs = [route for route in routes if isinstance(route, VerbRoute)]
        # Those that take POST requests of one path alone.
        self._verbs = {
            verb.path: verb
            for verb in verbs
            if verb.methods == {"POST"} and not verb.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = None
        if scope["type"] == "http" and scope["method"] == "POST":
            route = self._verbs.get(scope["path"])
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        await route.app(scope, receive, send)


class HeadAsGet:
    """ASGI middleware that routes HEAD as GET (RFC 9110 §9.3.2); the server drops the content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # The server reads the method from its own scope to drop the content, so this is a copy.
        routed = {**scope, "method": "GET", SENT_METHOD: "HEAD"}
        try:
            await self._app(routed, receive, send)
        finally:
            scope["route"] = routed.get("route")
