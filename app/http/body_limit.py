"""Limits the size of a request body, and the memory of all bodies together.

`receive()` raises the error where the application reads the body, so the application's exception
handlers answer it. An application that never reads the body sees no error.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLargeError, QueueFullError, ServiceError
from app.http.headers import first, lines

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
_RETRY_AFTER = 1


class BodyLimit:
    """ASGI middleware that limits each request's body and the bodies of all requests in progress.

    A body above `max_body_bytes` raises BodyTooLargeError: before it is read if Content-Length
    announces its size, else as soon as it exceeds the limit. A chunk that would bring the bodies
    of all requests in progress above `max_buffered_bytes` raises QueueFullError. A request's bytes
    count until its response is complete.

    After an error the response is sent at once. The middleware then reads and discards the rest of
    the body for a while, because many clients write the whole body before they read and would
    report a broken pipe.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_buffered_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self.buffered_bytes = 0
        """The body bytes of all requests in progress."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_bodiless(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(self, scope, receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            self.buffered_bytes -= body.counted

    def check_length(self, length: int) -> None:
        """Raises BodyTooLargeError if a body of `length` bytes exceeds the limit."""
        if length > self._max_body_bytes:
            msg = f"the body has more than the {self._max_body_bytes} bytes allowed"
            raise BodyTooLargeError(msg, field="body", limit=self._max_body_bytes)

    def count(self, length: int) -> None:
        """Adds received bytes to the total; raises QueueFullError if they exceed the limit."""
        if self.buffered_bytes + length > self._max_buffered_bytes:
            msg = "the server's memory for request bodies is full; try again"
            raise QueueFullError(msg, retry_after=_RETRY_AFTER)
        self.buffered_bytes += length


class _Body:
    """The body of one request while it is being received."""

    def __init__(self, limit: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        self.counted = 0
        self._limit = limit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._announced = _content_length(scope)
        self._received = 0
        self._complete = False
        self._refused: ServiceError | None = None
        self._closing = False

    async def receive(self) -> Message:
        if self._refused is not None:
            self._refuse(self._refused)
        try:
            if self._announced is not None:
                self._limit.check_length(self._announced)
            message = await self._receive()
            if message["type"] == "http.request":
                self._admit(message)
        except ServiceError as error:
            self._refuse(error)
        return message

    def _admit(self, message: Message) -> None:
        length = len(message.get("body", b""))
        self._received += length
        self._complete = not message.get("more_body", False)
        self._limit.check_length(self._received)
        self._limit.count(length)
        self.counted += length

    def _refuse(self, error: ServiceError) -> NoReturn:
        self._refused = error
        raise error.with_traceback(None)

    async def send(self, message: Message) -> None:
        if self._complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send(self._closed(message))
        elif self._closing and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    def _closed(self, message: Message) -> Message:
        # The server skips a short announced body that nobody read, and keeps the connection.
        self._closing = self._refused is not None or self._announced is None
        if not self._closing or not self._scope["http_version"].startswith("1"):
            return message
        headers = [*message.get("headers", ()), (b"connection", b"close")]
        return {**message, "headers": headers}

    async def _drain(self) -> None:
        if self._received == 0 and _expects_continue(self._scope):
            return  # The client waits for permission to send, and does not get it.
        drained = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while drained <= _DRAIN_BYTES:
                    message = await self._receive()
                    drained += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def _is_bodiless(scope: Scope) -> bool:
    """An HTTP/1 request without Content-Length and Transfer-Encoding has no body."""
    if not scope["http_version"].startswith("1"):
        return False
    return not any(
        name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]
    )


def _content_length(scope: Scope) -> int | None:
    announced = first(scope, b"content-length")
    return int(announced) if announced.isdigit() else None


def _expects_continue(scope: Scope) -> bool:
    return "100-continue" in (value.lower() for value in lines(scope, b"expect"))
