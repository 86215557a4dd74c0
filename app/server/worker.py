"""A worker process: as it sees itself, and as its supervisor sees it.

The two talk over a socket pair in JSON messages, one a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.server.balancer import WorkerConnections

logger = logging.getLogger("vaeserve")

Message = dict[str, Any]

LISTENING, READY = "listening", "ready"
"""States that a worker announces."""
STARTED = "started"
"""What the supervisor announces once every worker is ready."""

REFRESH_SECONDS = 1.0
"""How old a worker's gauges may be when another worker answers for it."""


@dataclass(eq=False)
class Worker:
    """This process, as one of several on the same port."""

    number: int
    """1 … the number of workers."""
    channel: socket.socket
    """To the supervisor, which alone holds the other end."""
    shared: Path
    """The folder in which the workers add up their metrics."""
    connections: WorkerConnections
    replaces: bool
    """Whether this worker replaces one that died after all were ready."""
    patience: float
    """Seconds that stopping may take once the supervisor is gone."""
    unloaded: frozenset[str] = frozenset()
    """Models that a caller has unloaded, and that must stay unloaded."""

    def __post_init__(self) -> None:
        self._started = self.replaces
        self._announced: set[str] = set()
        self._orphaned = self._prepared = False
        self._received = deque[Message]()
        self._wake: Callable[[], object] | None = None

    def follow_supervisor(self) -> None:
        """Starts a thread that receives messages, and ends this process with its supervisor."""
        threading.Thread(target=self._receive, name="supervisor", daemon=True).start()

    def announce(self, state: str) -> None:
        """Tells the supervisor `LISTENING` or `READY`, each once."""
        if state not in self._announced:
            self._announced.add(state)
            self.send({"state": state})
            self._accept_if_prepared()

    def send(self, message: Message) -> None:
        """Sends a message to the supervisor; does nothing if the supervisor is gone."""
        with contextlib.suppress(ConnectionError):
            self.channel.sendall(encode(message))

    async def messages(self) -> AsyncIterator[Message]:
        """Yields the supervisor's messages, including those that came before the call."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(arrived.set)
        while True:
            while self._received:
                yield self._received.popleft()
            await arrived.wait()
            arrived.clear()

    def problems(self) -> list[str]:
        """Why the service is not ready although this worker may be; empty once all were ready."""
        return [] if self._started else ["another worker is not ready yet; the log says why"]

    @property
    def is_waiting(self) -> bool:
        """Whether it replaces another worker and takes no connections yet."""
        return self.replaces and not self._prepared

    async def report(
        self, opening: asyncio.Task[None], ready: Callable[[], bool], refresh: Callable[[], None]
    ) -> None:
        """Refreshes the gauges and announces when this worker is ready, until it is cancelled.

        Args:
            opening: ends when the models are loaded or have failed.
            ready: whether the models serve.
            refresh: updates the gauges.
        """
        while True:
            refresh()
            if ready():
                self.announce(READY)
            # At the start all workers may have failed alike. A replacement that failed would
            # answer 503 at once, hold the fewest connections, and be given nearly all new ones.
            if READY in self._announced or (opening.done() and not self.replaces):
                self._prepared = True
                self._accept_if_prepared()
            if opening.done():
                await asyncio.sleep(REFRESH_SECONDS)
            else:
                await asyncio.wait({opening}, timeout=REFRESH_SECONDS)

    def remove_leftovers(self) -> None:
        """Removes the shared folder if the supervisor was killed and could not."""
        if self._orphaned:
            shutil.rmtree(self.shared, ignore_errors=True)

    def _accept_if_prepared(self) -> None:
        if self._prepared and LISTENING in self._announced:
            self.connections.open()

    def _receive(self) -> None:
        with contextlib.suppress(ConnectionError), self.channel.makefile("rb") as lines:
            for line in lines:
                message: Message = json.loads(line)
                if message.get("state") == STARTED:
                    self._started = True
                    continue
                self._received.append(message)
                if self._wake is not None:
                    with contextlib.suppress(RuntimeError):  # the event loop is closed
                        self._wake()
        logger.error("the supervisor is gone; this worker stops")
        self._orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self.patience)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(eq=False)
class WorkerHandle:
    """A living worker as its supervisor sees it. Nothing here blocks."""

    number: int
    """1 … the number of workers."""
    pid: int
    """Its process, which is not reaped while this object is in use."""
    channel: socket.socket
    """To the worker, which alone holds the other end."""
    born: float
    """When it was started, in seconds of the supervisor's clock."""
    listening: bool = False
    ready: bool = False
    _received: bytes = b""
    _unsent: bytes = b""

    def __post_init__(self) -> None:
        self.channel.setblocking(False)

    @property
    def events(self) -> int:
        """What to wait for on the channel."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)

    def receive(self, pass_on: Callable[[int, Message], None]) -> bool:
        """Reads what the worker has sent. Returns False once the channel is closed.

        Args:
            pass_on: is called with the worker's number and each message that is not its state.
        """
        try:
            received = self.channel.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            state = message.get("state")
            self.listening |= state == LISTENING
            self.ready |= state == READY
            if state is None:
                pass_on(self.number, message)
        return bool(received)

    def send(self, message: Message) -> None:
        """Sends a message, and keeps what the channel has no room for until `flush`."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Sends what `send` has kept. A worker that is ending need not receive it."""
        with contextlib.suppress(OSError):
            while self._unsent:
                self._unsent = self._unsent[self.channel.send(self._unsent) :]


def encode(message: Message) -> bytes:
    """A message as a line of JSON."""
    return json.dumps(message).encode() + b"\n"
