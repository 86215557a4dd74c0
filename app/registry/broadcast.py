"""Has every worker load or unload a model that one of them was asked to load or unload."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.concurrency import Locks
from app.errors import ModelUnavailableError, ServiceError

logger = logging.getLogger(__name__)

Wanted = Literal["loaded", "unloaded"]
Apply = Callable[[str, Wanted], Awaitable[None]]
"""Loads or unloads a model in this process; raises a ServiceError if it can't."""


class Link(Protocol):
    """A worker's connection to the others, through their supervisor."""

    unloaded: frozenset[str]
    """The models that were unloaded before this worker started, and must stay unloaded."""

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message to the supervisor."""

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the supervisor's messages."""


@dataclass(slots=True)
class _Order:
    """An order that this worker has given."""

    here: asyncio.Future[ServiceError | None]
    """How this worker carried it out."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every other worker has carried it out or has died."""
    waiting: set[int] = field(default_factory=set)
    """The other workers that have yet to carry it out."""
    errors: list[str] = field(default_factory=list)

    def ended(self, number: int, error: str = "") -> None:
        """Stops waiting for a worker; `error` is why it could not carry the order out."""
        if number in self.waiting:
            self.waiting.remove(number)
            if error:
                self.errors.append(f"worker {number} failed where others succeeded: {error}")
            if not self.waiting:
                self.finished.set()


class Broadcast:
    """Gives orders to all workers, and carries out those of all workers in this one.

    An order goes to the supervisor, which sends it to every worker, this one included, and so do
    the outcomes.

    Args:
        link: the connection to the others.
        timeout: seconds that the others have to carry out an order once this worker has.
    """

    def __init__(self, link: Link, *, timeout: float) -> None:
        self.unloaded = link.unloaded
        self._link = link
        self._timeout = timeout
        self._orders: dict[str, _Order] = {}
        self._locks = Locks()

    async def give(self, name: str, wanted: Wanted) -> None:
        """Has every worker load or unload a model, and returns when all have.

        Raises:
            ServiceError: this worker could not, for this reason.
            ModelUnavailableError: another worker failed, or did not finish in time.
        """
        key, order = uuid.uuid4().hex, _Order(asyncio.get_running_loop().create_future())
        self._orders[key] = order
        try:
            self._link.send({"order": key, "name": name, "wanted": wanted})
            error = await order.here
            if error is not None:
                raise error
            async with asyncio.timeout(self._timeout):
                await order.finished.wait()
        except TimeoutError:
            late = ", ".join(f"worker {number}" for number in sorted(order.waiting))
            detail = (
                f"{late} did not finish within {self._timeout:g} s and will later make "
                f"{name!r} {wanted}"
            )
            raise ModelUnavailableError(detail, retry_after=5) from None
        finally:
            del self._orders[key]
        if order.errors:
            raise ModelUnavailableError("; ".join(order.errors), retry_after=5)

    async def follow(self, apply: Apply) -> None:
        """Carries out the orders of all workers until it is cancelled.

        Orders for one model are carried out in sequence, those for several models side by side.
        """
        async with asyncio.TaskGroup() as group:
            async for message in self._link.messages():
                match message:
                    case {"order": key, "name": name, "wanted": wanted, **sent}:
                        if order := self._orders.get(key):
                            order.waiting = set(sent["workers"])
                            order.ended(sent["sender"])
                        group.create_task(self._carry_out(key, name, wanted, apply))
                    case {"done": key, "error": error, "sender": number}:
                        if order := self._orders.get(key):
                            order.ended(number, error)
                    case {"gone": number}:
                        for order in self._orders.values():
                            order.ended(number)

    async def _carry_out(self, key: str, name: str, wanted: Wanted, apply: Apply) -> None:
        error: ServiceError | None = None
        async with self._locks[name]:
            try:
                await apply(name, wanted)
            except ServiceError as failure:
                error = failure
            except Exception as failure:
                logger.exception("%r could not be %s", name, wanted)
                error = ServiceError(f"{type(failure).__name__}: {failure}")
        order = self._orders.get(key)
        if order is not None and not order.here.done():
            order.here.set_result(error)
        self._link.send({"done": key, "error": error.detail if error else ""})
