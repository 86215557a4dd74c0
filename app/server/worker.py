"""One of several worker processes: as it sees itself, and as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.server.balancer import Share

logger = logging.getLogger("vaeserve")

LISTENING = b"l"
READY = b"r"
STARTED = b"s"

REFRESH_SECONDS = 1.0
"""How old a worker's gauges may be when another worker answers for it."""


class Worker:
    """This process, as one of several on the same port.

    Args:
        number: 1 … the number of workers.
        channel: to the supervisor, which alone holds the other end.
        shared: folder in which the workers add up their figures.
        share: its connections among those of all.
        replaces: whether all workers were ready before this one came, in place of one of them.
        patience: seconds that stopping may take once the supervisor is gone.
    """

    def __init__(
        self,
        number: int,
        channel: socket.socket,
        shared: Path,
        share: Share,
        *,
        replaces: bool,
        patience: float,
    ) -> None:
        self.number = number
        self.shared = shared
        self.share = share
        self.replaces = replaces
        self._channel = channel
        self._started = replaces
        self._patience = patience
        self._told: set[bytes] = set()
        self._orphaned = self._prepared = False

    def follow(self) -> None:
        """Ends this process when the supervisor ends, from now on and in whatever way it does."""
        threading.Thread(target=self._hear, name="supervisor", daemon=True).start()

    def tell(self, state: bytes) -> None:
        """Tells the supervisor `LISTENING` or `READY`, each once."""
        if state not in self._told:
            self._told.add(state)
            # A supervisor that is gone need not know; this worker is told to stop elsewhere.
            with contextlib.suppress(ConnectionError):
                self._channel.send(state)
            self._offer()

    def problems(self) -> list[str]:
        """Why the service is not ready though this worker may be; empty from its start on."""
        return [] if self._started else ["another worker is not ready yet; the log says why"]

    async def report(
        self, opening: asyncio.Task[None], ready: Callable[[], bool], refresh: Callable[[], None]
    ) -> None:
        """Refreshes the gauges and tells when this worker is ready; runs until it is cancelled."""
        while True:
            refresh()
            if ready():
                self.tell(READY)
            # At the start all may have failed alike. A replacement that did would answer 503 at
            # once where others serve, have the fewest connections, and be given nearly every one.
            if READY in self._told or (opening.done() and not self.replaces):
                self._prepared = True
                self._offer()
            if opening.done():
                await asyncio.sleep(REFRESH_SECONDS)
            else:
                await asyncio.wait({opening}, timeout=REFRESH_SECONDS)

    def _offer(self) -> None:
        """Takes connections from others once it listens, and is prepared for them."""
        if self._prepared and LISTENING in self._told:
            self.share.open()

    def leave(self) -> None:
        """Removes what the supervisor would have removed, had it not been killed."""
        if self._orphaned:
            shutil.rmtree(self.shared, ignore_errors=True)

    def _hear(self) -> None:
        with contextlib.suppress(ConnectionError):
            while heard := self._channel.recv(1):
                self._started = self._started or heard == STARTED
        logger.error("the supervisor is gone; this worker stops")
        self._orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._patience)
        os.kill(os.getpid(), signal.SIGKILL)


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
