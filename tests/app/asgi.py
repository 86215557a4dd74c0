"""A client for ASGI applications, and one that shows what an upload was read as."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.errors import ServiceError

Reader = Callable[[Request], Awaitable[Any]]


def post(
    reader: Reader, url: str = "/", *, raw: list[tuple[str, str]] | None = None, **options: Any
) -> Any:
    """What `reader` makes of a POST request with httpx's options; its ServiceError is raised.

    `raw` adds header lines, so that one can come twice.
    """
    outcomes: list[Any] = []

    async def endpoint(request: Request) -> JSONResponse:
        try:
            outcomes.append(await reader(request))
        except ServiceError as error:
            outcomes.append(error)
        return JSONResponse(None)

    async def exchange() -> None:
        app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            request = client.build_request("POST", url, **options)
            request.headers = httpx.Headers([*request.headers.multi_items(), *(raw or [])])
            await client.send(request)

    asyncio.run(exchange())
    (outcome,) = outcomes
    if isinstance(outcome, ServiceError):
        raise outcome
    return outcome
