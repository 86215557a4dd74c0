"""Signals that a selector can wait for, along with sockets."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator


class Signals:
    """Receives the given signals from now on. Its file descriptor is readable when one has come."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            # Only signals that have a handler write to the wakeup descriptor.
            signal.signal(number, lambda number, frame: None)

    def fileno(self) -> int:
        """The file descriptor to wait for."""
        return self._reader.fileno()

    def take(self) -> bytes:
        """The numbers of the signals that came since the last call, in order."""
        try:
            return self._reader.recv(4096)
        except BlockingIOError:
            return b""

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Delays the signals to the end of the block, so a fork can set its own handlers first."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def close(self) -> None:
        """Restores the default action of every signal."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        self._reader.close()
        self._writer.close()
