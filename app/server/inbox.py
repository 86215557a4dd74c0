"""Where a worker finds the connections that other workers hand to it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios

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
