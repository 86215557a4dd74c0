"""A transport that sends the head of an answer together with the beginning of its body."""

from __future__ import annotations

import asyncio
from typing import Any

_END_OF_HEAD = b"\r\n\r\n"


class JoinedWrites:
    """Wraps a transport for uvicorn, which writes head and body one right after the other.

    uvloop sends each write at once. A small answer would so cost two system calls, and wake its
    reader for a head without a body. Here what ends like a head waits for the next write, and
    no longer than to the next turn of the event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 the wrapped transport's attribute
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data`, or keeps it for the write that follows."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.endswith(_END_OF_HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Sends what waits and closes the connection."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)
