"""A small application behind limits on its bodies."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.errors import BodyTooLargeError, QueueFullError, ServiceError
from app.http.body_limit import BodyLimit

MAX_BODY, MAX_BUFFERED = 1000, 2500
STATUS = {BodyTooLargeError: 413, QueueFullError: 429}


async def on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return PlainTextResponse(f"{error.code} {error.limit} {error.retry_after}", STATUS[type(error)])


async def reading(request: Request) -> Response:
    return PlainTextResponse(f"read {len(await request.body())}")


async def unread(_: Request) -> Response:
    return PlainTextResponse("unread")


def application() -> Starlette:
    routes = [Route("/read", reading, methods=["POST"]), Route("/unread", unread, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers={ServiceError: on_error})


def limited(app: ASGIApp | None = None) -> BodyLimit:
    return BodyLimit(app or application(), max_body_bytes=MAX_BODY, max_buffered_bytes=MAX_BUFFERED)
