"""A FastAPI route whose endpoint takes the request as it is and answers a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.errors import ServiceError
from app.http.problems import on_service_error


class VerbRoute(APIRoute):
    """Routed, documented and counted like any other route of FastAPI.

    What FastAPI does for each request between router and endpoint is left out: to resolve
    parameters, enter three exit stacks and look for exception handlers takes longer than all of
    a verb's own checks. So the endpoint has the request as its only parameter, and of errors only
    `ServiceError` is answered here.
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
            response = await on_service_error(request, error)
        await response(scope, receive, send)
