"""Signals as something to wait for, beside sockets."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator


class Signals:
    """Takes the given signals from now on; readable, as `fileno`, when one has come."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            # Only signals that have a handler wake anybody.
            signal.signal(number, lambda number, frame: None)

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> bytes:
        """The numbers of the signals that came since the last time, in their order."""
        try:
            return self._reader.recv(4096)
        except BlockingIOError:
            return b""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lets none of them through until the end, so that a fork has time for its own handlers."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def close(self) -> None:
        """Gives every signal back its default."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        self._reader.close()
        self._writer.close()
