"""Accepts connections: all that wait, on each turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
from collections.abc import Callable

from app.server.balancer import HandoffQueue

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted."""

MOST_A_TURN = 64
"""Connections that are accepted on one turn of the event loop."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def listen(bound: socket.socket) -> socket.socket:
    """Lets a bound socket listen; its connections wait for an acceptor."""
    bound.setblocking(False)
    bound.listen(BACKLOG)
    return bound


def keep(_: socket.socket) -> Callable[[], None] | None:
    """Keeps every connection and counts none: for a process that serves alone."""
    return lambda: None


class Acceptor:
    """Accepts connections from now on. uvicorn uses it like an asyncio server.

    uvloop's own servers accept one connection on each turn. A turn may run a batch, so under load
    the last of many new connections would wait for as many batches.

    Args:
        source: where connections wait; `close` closes it.
        protocol: makes the protocol of each connection. The protocol must call its argument when
            the connection has ended.
        place: is called with each connection. Returns what to call when the connection has ended,
            or None if another process has it.
    """

    retry_seconds = 1.0

    def __init__(
        self,
        source: socket.socket | HandoffQueue,
        protocol: Callable[[Callable[[], None]], asyncio.Protocol],
        place: Callable[[socket.socket], Callable[[], None] | None] = keep,
    ) -> None:
        self._source = source
        self._protocol = protocol
        self._place = place
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Accepts what waits, and nothing afterwards. Accepted connections stay open."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._source)
        with contextlib.suppress(OSError):  # no descriptor is free
            for _ in range(BACKLOG):
                if not self._accept():
                    break
        self._source.close()

    async def wait_closed(self) -> None:
        """Returns once every accepted connection has its protocol."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._source, self._accept_waiting)

    def _accept_waiting(self) -> None:
        for _ in range(MOST_A_TURN):
            try:
                if not self._accept():
                    return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                # The source stays readable: without a pause every turn would try again.
                logger.error("new connections have to wait: %s", error)
                self._loop.remove_reader(self._source)
                self._retry = self._loop.call_later(self.retry_seconds, self._watch)
                return

    def _accept(self) -> bool:
        """Accepts one connection; returns False if none waits."""
        try:
            connection, _ = self._source.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True  # this one is lost, but another may wait
        ended = self._place(connection)
        if ended is not None:
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection, ended))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self, connection: socket.socket, ended: Callable[[], None]) -> None:
        protocol = functools.partial(self._protocol, ended)
        try:
            await self._loop.connect_accepted_socket(protocol, connection)
        except Exception as error:  # its client has left already
            connection.close()
            ended()
            logger.debug("a connection was lost at once: %s", error)
