"""Bounds on request bodies: how large one may be, and how much all together may keep in memory.

The error is raised out of `receive()`, where the application reads the body, so that its own
exception handlers answer it like any other. Nothing is raised to an application that never reads.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLargeError, QueueFullError, ServiceError

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
_RETRY_AFTER = 1


class BodyLimit:
    """ASGI middleware that bounds each request's body and the bodies of all requests in flight.

    A body above `max_body_bytes` is refused before it is read where Content-Length announces it,
    else as soon as it passes the limit (BodyTooLargeError). A chunk that would bring the bytes
    received by all requests in flight above `max_buffered_bytes` is refused (QueueFullError); a
    request's bytes count until its answer is complete.

    After a refusal the answer goes out at once, and what the client still sends is read and
    thrown away for a while, because many clients write the whole body before they read, and
    report a broken pipe when the connection closes on them.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_buffered_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self._buffered_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Body bytes received by the requests now in flight."""
        return self._buffered_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_bodiless(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(self, scope, receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            self._buffered_bytes -= body.counted

    def check_length(self, length: int) -> None:
        """Raises BodyTooLargeError where a body of `length` bytes is above the limit."""
        if length > self._max_body_bytes:
            msg = f"the body has more than the {self._max_body_bytes} bytes allowed"
            raise BodyTooLargeError(msg, field="body", limit=self._max_body_bytes)

    def count(self, length: int) -> None:
        """Adds received bytes to the total; raises QueueFullError where they don't fit."""
        if self._buffered_bytes + length > self._max_buffered_bytes:
            msg = "the server holds as many request bodies as it can; try again"
            raise QueueFullError(msg, retry_after=_RETRY_AFTER)
        self._buffered_bytes += length


class _Body:
    """One request's body on its way in."""

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
        # A short announced body left unread is the server's to skip; the connection lives on.
        self._closing = self._refused is not None or self._announced is None
        if not self._closing or not self._scope["http_version"].startswith("1"):
            return message
        headers = [*message.get("headers", ()), (b"connection", b"close")]
        return {**message, "headers": headers}

    async def _drain(self) -> None:
        if self._received == 0 and _expects_continue(self._scope):
            return  # The client waits for leave to send, and won't get it.
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
    """HTTP/1 frames a body with one of two headers; without both there is none."""
    if not scope["http_version"].startswith("1"):
        return False
    return not any(
        name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]
    )


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def _expects_continue(scope: Scope) -> bool:
    return any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
    )
