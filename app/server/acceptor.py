"""Takes connections from where they wait: all of them, on each turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that the kernel keeps until they are taken."""

MOST_A_TURN = 64

_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Source(Protocol):
    """Where connections wait: a listening socket, or what can be taken for one."""

    def fileno(self) -> int:
        """Readable when a connection waits."""

    def accept(self) -> tuple[socket.socket, object]:
        """The next one; raises BlockingIOError when none waits."""

    def close(self) -> None:
        """Ends it."""


def listen(bound: socket.socket) -> socket.socket:
    """Lets a bound socket listen; its connections wait for a listener."""
    bound.setblocking(False)
    bound.listen(BACKLOG)
    return bound


def keep(_: socket.socket) -> Callable[[], None] | None:
    """Keeps every connection, and counts none: for a process that serves alone."""
    return _count_none


def _count_none() -> None:
    pass


class Listener:
    """Takes connections from now on; what uvicorn takes for a server.

    uvloop's own servers take one connection on each turn. A turn may run a batch, so that under
    load the last of many new connections would wait for as many batches.

    Args:
        source: of the connections; closed by `close`.
        protocol: makes the protocol of each connection. Its argument is to be called when the
            connection has ended.
        settle: given each connection; returns what is to be called when it has ended, or None if
            somebody else has it.
    """

    retry_seconds = 1.0

    def __init__(
        self,
        source: Source,
        protocol: Callable[[Callable[[], None]], asyncio.Protocol],
        settle: Callable[[socket.socket], Callable[[], None] | None] = keep,
    ) -> None:
        self._source = source
        self._protocol = protocol
        self._settle = settle
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Takes what waits, and nothing any more; connections that were taken go on."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._source)
        with contextlib.suppress(OSError):  # no descriptor is free
            for _ in range(BACKLOG):
                if not self._take():
                    break
        self._source.close()

    async def wait_closed(self) -> None:
        """Returns once every connection that was taken has its protocol."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._source, self._take_waiting)

    def _take_waiting(self) -> None:
        for _ in range(MOST_A_TURN):
            try:
                if not self._take():
                    return
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    raise
                # It stays readable, and trying again on every turn would help nobody.
                logger.error("new connections have to wait: %s", error)
                self._loop.remove_reader(self._source)
                self._retry = self._loop.call_later(self.retry_seconds, self._watch)
                return

    def _take(self) -> bool:
        """Takes one connection; False if none waits."""
        try:
            connection, _ = self._source.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True  # it is lost, and the next may wait
        ended = self._settle(connection)
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
        except Exception as error:  # its client has left already; the others are not concerned
            connection.close()
            ended()
            logger.debug("a connection was lost at once: %s", error)
