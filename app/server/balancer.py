"""Shares connections evenly among several workers.

The kernel spreads connections by a hash, which leaves one worker with most of a few. So each worker
hands a new connection to the worker that has the fewest, through that worker's hand-off queue.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import socket
import sys
import termios
from collections.abc import Callable

Release = Callable[[], None]
"""Is called when a connection has ended; further calls do nothing."""

_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""Missing on macOS, where no other program is executed meanwhile."""

_CELL = 8
"""Bytes of a number in the table; the kernel writes them at once, so no reader sees half."""


class HandoffQueue:
    """Connections that other workers hand to one worker, as file descriptors in a Unix socket.

    It is made before the workers are forked, so each worker can put connections in, and they stay
    when the receiving worker dies. It never blocks. An `Acceptor` reads it like a listening socket.
    """

    def __init__(self) -> None:
        self._outlet, self._inlet = socket.socketpair()
        for end in (self._outlet, self._inlet):
            end.setblocking(False)

    def put(self, connection: socket.socket) -> bool:
        """Moves a connection into the queue; returns False and keeps it if the queue is full."""
        try:
            socket.send_fds(self._inlet, [b"c"], [connection.fileno()])
        except OSError:  # the queue holds about 280, or too many descriptors are in flight
            return False
        connection.close()
        return True

    def waiting(self) -> int:
        """The number of connections in the queue: each is one byte, which the kernel counts."""
        count = fcntl.ioctl(self._outlet, termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)

    def fileno(self) -> int:
        """A file descriptor that is readable when a connection waits."""
        return self._outlet.fileno()

    def accept(self) -> tuple[socket.socket, None]:
        """Takes a connection out.

        Raises:
            BlockingIOError: the queue is empty.
            ConnectionAbortedError: the connection was lost on the way.
            OSError: no file descriptor is free (EMFILE); the connection stays in the queue.
        """
        # Fails without a free descriptor, for lack of which recvmsg would lose the connection.
        os.close(os.dup(self._outlet.fileno()))
        _, passed, _, _ = self._outlet.recvmsg(1, socket.CMSG_LEN(4), _CLOSE_ON_EXEC)
        if not passed:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        return socket.socket(fileno=int.from_bytes(passed[0][2], sys.byteorder)), None

    def close(self) -> None:
        """Closes the queue here; the kernel closes its connections once no process has it open."""
        self._inlet.close()
        self._outlet.close()


class ConnectionBalancer:
    """The load of every worker, in memory that all share. It is made before they are forked.

    A load is the connections that a worker holds plus those in its queue. Only that worker writes
    the first number, and the supervisor once the worker is dead; the kernel counts the second. So
    no load can drift, whichever process dies when.

    Args:
        workers: how many; their numbers are 1 … workers.
    """

    def __init__(self, workers: int) -> None:
        self.queues = {number: HandoffQueue() for number in range(1, workers + 1)}
        # 0 stands for a worker that must not be given connections, n + 1 for n connections.
        self._table = memoryview(mmap.mmap(-1, workers * _CELL)).cast("q")

    def publish(self, number: int, held: int | None) -> None:
        """Sets how many connections a worker holds; None if it must not be given any."""
        self._table[number - 1] = 0 if held is None else held + 1

    def lightest(self, but: int, below: int = sys.maxsize) -> int | None:
        """The worker other than `but` with the least load, if that is less than `below`."""
        found = None
        for number, cell in enumerate(self._table.tolist(), 1):
            # The system call of `waiting` is only made where its result can matter.
            if number != but and 0 < cell <= below:
                load = cell - 1 + self.queues[number].waiting()
                if load < below:
                    found, below = number, load
        return found

    def redistribute(self, number: int) -> None:
        """Hands a dead worker's queue to the others; its successor finds what they can't take."""
        self.publish(number, None)
        queue = self.queues[number]
        while (heir := self.lightest(number)) is not None:
            try:
                connection, _ = queue.accept()
            except ConnectionAbortedError:
                continue  # this one is lost, but others may wait
            except OSError:  # the queue is empty, or no descriptor is free
                return
            with connection:
                if not self.queues[heir].put(connection):
                    queue.put(connection)
                    return

    def close(self) -> None:
        """Closes the queues in this process."""
        for queue in self.queues.values():
            queue.close()


class WorkerConnections:
    """Counts the connections of a worker, and hands new ones over if another worker has fewer.

    Closed at first. A closed worker keeps a connection only if no other worker is open.

    Args:
        balancer: the loads of all workers.
        number: the number of this worker.
    """

    def __init__(self, balancer: ConnectionBalancer, number: int) -> None:
        self.queue = balancer.queues[number]
        self._balancer = balancer
        self._number = number
        self._held: set[object] = set()
        self._open = self._left = False

    def open(self) -> None:
        """Lets other workers hand connections to this one, unless it has left."""
        self._open = not self._left
        self._publish()

    def leave(self) -> None:
        """Ends that for good."""
        self._open, self._left = False, True
        self._publish()

    def place(self, connection: socket.socket) -> Release | None:
        """Keeps a new connection, or hands it to the worker with the fewest.

        Returns:
            None if another worker has the connection; it is closed here.
        """
        # Without the new connection: a worker with one fewer would then have one more.
        own = len(self._held) + self.queue.waiting() if self._open else sys.maxsize
        other = self._balancer.lightest(self._number, below=own)
        if other is not None and self._balancer.queues[other].put(connection):
            return None
        return self._hold()

    def receive(self, connection: socket.socket) -> Release | None:
        """Keeps a connection that was handed over; only a closed worker hands it on."""
        return self._hold() if self._open else self.place(connection)

    def _hold(self) -> Release:
        held = object()
        self._held.add(held)
        self._publish()

        def release() -> None:
            self._held.discard(held)
            self._publish()

        return release

    def _publish(self) -> None:
        self._balancer.publish(self._number, len(self._held) if self._open else None)
