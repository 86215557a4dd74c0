"""Takes connections from a socket: all that wait, on each turn of the event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that the kernel keeps until they are taken."""

MOST_A_TURN = 64

_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Listens from now on; what uvicorn takes for a server.

    uvloop's own servers take one connection on each turn. A turn may run a batch, so that under
    load the last of many new connections would wait for as many batches.

    Args:
        sock: bound; closed by `close`.
        protocol: makes the protocol of each connection.
    """

    retry_seconds = 1.0

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._sock = sock
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._watch()

    def close(self) -> None:
        """Takes no connection any more; those that were taken go on."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def wait_closed(self) -> None:
        """Returns once every connection that was taken has its protocol."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._sock, self._take_waiting)

    def _take_waiting(self) -> None:
        for _ in range(MOST_A_TURN):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    raise
                # It stays readable, and trying again on every turn would help nobody.
                logger.error("new connections have to wait: %s", error)
                self._loop.remove_reader(self._sock)
                self._retry = self._loop.call_later(self.retry_seconds, self._watch)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except Exception as error:  # its client has left already; the others are not concerned
            connection.close()
            logger.debug("a connection was lost at once: %s", error)
