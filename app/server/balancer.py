"""Shares connections evenly among several workers."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import socket
import sys
import termios
from collections.abc import Callable

_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""macOS doesn't have it; nothing here executes another program meanwhile."""


class Inbox:
    """A pair of Unix sockets through which connections pass, as file descriptors.

    Made before the workers are forked, so that each can put in, and that what is in it outlives
    the worker whose it is. Never blocks. A `Listener` takes from it as from a listening socket.
    """

    def __init__(self) -> None:
        self._outlet, self._inlet = socket.socketpair()
        for end in (self._outlet, self._inlet):
            end.setblocking(False)

    def put(self, connection: socket.socket) -> bool:
        """Closes a connection here that is in the inbox now; False if that is full."""
        try:
            socket.send_fds(self._inlet, [b"c"], [connection.fileno()])
        except OSError:  # some 280 are in it, or too many descriptors are under way
            return False
        connection.close()
        return True

    def waiting(self) -> int:
        """How many connections are in it: each is one byte, which the kernel counts."""
        count = fcntl.ioctl(self._outlet, termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)

    def fileno(self) -> int:
        """Readable when a connection waits."""
        return self._outlet.fileno()

    def accept(self) -> tuple[socket.socket, None]:
        """Takes one out.

        Raises:
            BlockingIOError: it is empty.
            ConnectionAbortedError: what was in it is lost.
            OSError: there is no free file descriptor (EMFILE); what is in it waits on.
        """
        # Else what doesn't fit would be taken out, and lost.
        os.close(os.dup(self._outlet.fileno()))
        _, passed, _, _ = self._outlet.recvmsg(1, socket.CMSG_LEN(4), _CLOSE_ON_EXEC)
        if not passed:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        return socket.socket(fileno=int.from_bytes(passed[0][2], sys.byteorder)), None

    def close(self) -> None:
        """Closes it in this process; what is in it is closed once no process has it open."""
        self._inlet.close()
        self._outlet.close()


_CELL = 8
"""Bytes of a number in the table; written at once, so that nobody reads half of one."""


class Balance:
    """The workers' loads. Made before they are forked, so that all share it.

    A load is what a worker holds and what waits in its inbox. That worker alone writes the first,
    and the supervisor once it is dead; the kernel counts the second. So no load can drift, whoever
    dies when.

    Args:
        workers: how many; their numbers are 1 … workers.
    """

    def __init__(self, workers: int) -> None:
        self.inboxes = {number: Inbox() for number in range(1, workers + 1)}
        # All zero, which says that a worker is to be given nothing.
        self._table = memoryview(mmap.mmap(-1, workers * _CELL)).cast("q")

    def publish(self, number: int, held: int | None) -> None:
        """Says how many connections a worker holds; None: it is to be given none."""
        self._table[number - 1] = 0 if held is None else held + 1

    def lightest(self, but: int, below: int = sys.maxsize) -> int | None:
        """The worker, other than `but`, with the least load, if that is less than `below`."""
        found = None
        for number, cell in enumerate(self._table.tolist(), 1):
            # The kernel is asked only where what it says can matter.
            if number != but and 0 < cell <= below:
                load = cell - 1 + self.inboxes[number].waiting()
                if load < below:
                    found, below = number, load
        return found

    def bury(self, number: int) -> None:
        """Shares out what waits for a dead worker; what finds no place is left to the next one."""
        self.publish(number, None)
        left = self.inboxes[number]
        while (heir := self.lightest(number)) is not None:
            try:
                connection, _ = left.accept()
            except ConnectionAbortedError:
                continue  # one is lost, and others may wait
            except OSError:  # none waits, or no descriptor is free
                return
            with connection:
                if not self.inboxes[heir].put(connection):
                    left.put(connection)  # it has just come from there
                    return

    def close(self) -> None:
        """Closes the inboxes in this process."""
        for inbox in self.inboxes.values():
            inbox.close()


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
