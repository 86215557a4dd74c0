"""The connections of one of several workers: as many as each of the others has."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

from app.server.balancer import Balance

Release = Callable[[], None]
"""To be called when a connection has ended; more often does no harm."""


class Share:
    """Counts the connections of a worker, and hands new ones over where another has fewer.

    Closed at first: then the worker keeps a connection only if no other is open.

    Args:
        balance: of all workers.
        number: of this one.
    """

    def __init__(self, balance: Balance, number: int) -> None:
        self.inbox = balance.inboxes[number]
        self._balance = balance
        self._number = number
        self._held: set[object] = set()
        self._open = self._left = False

    def open(self) -> None:
        """Has this worker given connections from now on, unless it has left."""
        self._open = not self._left
        self._publish()

    def leave(self) -> None:
        """Has it given no more, for good."""
        self._open, self._left = False, True
        self._publish()

    def settle(self, connection: socket.socket) -> Release | None:
        """Holds a new connection, or hands it to the worker with the fewest.

        Returns:
            None where another worker has it, and it is closed here.
        """
        # With one fewer, the other would end up with one more.
        own = len(self._held) + self.inbox.waiting() if self._open else sys.maxsize
        other = self._balance.lightest(self._number, below=own)
        if other is not None and self._balance.inboxes[other].put(connection):
            return None
        return self._hold()

    def receive(self, connection: socket.socket) -> Release | None:
        """Holds a connection that was handed over; one is handed on only by a closed worker."""
        return self._hold() if self._open else self.settle(connection)

    def _hold(self) -> Release:
        held = object()
        self._held.add(held)
        self._publish()

        def release() -> None:
            self._held.discard(held)
            self._publish()

        return release

    def _publish(self) -> None:
        self._balance.publish(self._number, len(self._held) if self._open else None)
