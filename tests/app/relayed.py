"""Workers of one process, connected by the supervisor's relay as if they were several processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from app.server.relay import Relay
from app.server.worker import WorkerHandle


class RelayedLink:
    """A worker's link to the others. What it is sent before `messages` is called waits.

    Args:
        relay: passes the messages of all workers.
        number: of this worker.
    """

    def __init__(self, relay: Relay, number: int) -> None:
        self.number = number
        self.unloaded = frozenset(relay.unloaded)
        self._relay = relay
        self._received: asyncio.Queue[str] = asyncio.Queue()
        inbox = _Inbox(number, self._received)
        relay.add(cast("WorkerHandle", inbox))

    def send(self, message: dict[str, Any]) -> None:
        self._relay.receive(self.number, json.loads(json.dumps(message)))

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            yield json.loads(await self._received.get())


class _Inbox:
    def __init__(self, number: int, received: asyncio.Queue[str]) -> None:
        self.number = number
        self._received = received

    def send(self, message: dict[str, Any]) -> None:
        self._received.put_nowait(json.dumps(message))
