"""A worker's process as its supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import socket

from app.server.worker import LISTENING, READY


class Child:
    """A living worker.

    Args:
        pid: its process, which is not reaped as long as this object is used.
        channel: to the worker, whose other end nobody else holds.
        born: when it was started, in the supervisor's seconds.
    """

    def __init__(self, pid: int, channel: socket.socket, born: float) -> None:
        channel.setblocking(False)
        self.pid = pid
        self.channel = channel
        self.born = born
        self.listening = False
        self.ready = False

    def hear(self) -> bool:
        """Takes in what it has said; False once it can say no more."""
        try:
            said = self.channel.recv(4096)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.listening |= LISTENING in said
        self.ready |= READY in said
        return bool(said)

    def tell(self, word: bytes) -> None:
        """Says something, which one that is about to end need not hear."""
        with contextlib.suppress(OSError):
            self.channel.send(word)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)
