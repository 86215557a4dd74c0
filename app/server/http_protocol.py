"""HTTP/1.1 connections: uvicorn's protocol with the limits that it lacks."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PlainParser(httptools.HttpRequestParser):
    """httptools' parser, made to ignore `Upgrade` fields.

    A server may ignore `Upgrade` (RFC 9110 §7.8); the body that follows then belongs to the same
    request. httptools stops after such a head, and would parse the body as the next request. So
    this parser parses the head again without the field, and then the body.

    Args:
        protocol: receives the callbacks. Those of a head with `Upgrade` come twice, the first
            time while `should_upgrade()` is true.
        again: makes the parser for the rest of the connection, and feeds it the same head without
            its `Upgrade` field.
    """

    def __init__(self, protocol: object, again: Callable[[], PlainParser]) -> None:
        super().__init__(protocol)
        # As in uvicorn: the response to a request does not depend on the bytes that follow it.
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._again = again

    def feed_data(self, data: bytes | bytearray | memoryview[int] | array[int]) -> None:
        """Parses what was received.

        Raises:
            httptools.HttpParserError: the data is not HTTP.
        """
        parser, rest = self, memoryview(data)
        while True:
            try:
                httptools.HttpRequestParser.feed_data(parser, rest)
            except httptools.HttpParserUpgrade as upgrade:
                # A parser that has seen `Connection: close` refuses more data.
                parser, rest = self._again(), rest[upgrade.args[0] :]
            else:
                return


_END_OF_HEAD = b"\r\n\r\n"


class JoinedWrites:
    """A transport that sends the head of a response together with the beginning of its body.

    uvicorn writes head and body separately, and uvloop sends each write at once. A small response
    would cost two system calls, and wake its reader for a head without a body. Here a write that
    ends like a head waits for the next write, or for the next turn of the event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 the wrapped transport's attribute
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data`, or keeps a head for the next write."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.endswith(_END_OF_HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Sends a waiting head and closes the connection."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes connections whose client stalls or sends an oversized head.

    In uvicorn, a client that sends its head slowly or not at all keeps its connection for ever,
    endless headers fill the memory, and a response that is never read stays in memory. A slow
    reader keeps its connection while it reads anything.

    A request for another protocol is answered in HTTP/1.1; tunnels (CONNECT) are refused.

    Args:
        ended: is called when the connection is lost.
    """

    head_seconds = 10.0
    head_bytes = 64 * 1024
    stall_seconds = 30.0

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 uvicorn's arguments
        ended: Callable[[], None],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._ended = ended
        self.parser = PlainParser(self, self._parse_again)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_received = 0
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", JoinedWrites(transport, self.loop))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()
        self._head_complete()
        self._reader_went_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_received += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_received > self.head_bytes:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # Bytes of the same read that came before belong to another message.
        self._head_received = 0
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_complete()
        # A head may be complete before its read has been counted.
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.head_bytes:
            msg = f"the head has more than {self.head_bytes} bytes"
            raise ValueError(msg)  # the parser stops, and the connection ends with a 400
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("CONNECT is not supported")
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        # A message with `Upgrade` is parsed again.
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _parse_again(self) -> PlainParser:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = parser = PlainParser(self, self._parse_again)
        parser.feed_data(b"\r\n".join(lines) + _END_OF_HEAD)
        return parser

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._reader_went_on()
        super().resume_writing()

    def _watch_reader(self, unread: int) -> None:
        self._stall_timer = self.loop.call_later(self.stall_seconds, self._check_reader, unread)

    def _check_reader(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch_reader(unread)
        else:
            self.transport.abort()

    def _reader_went_on(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
