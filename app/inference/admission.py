"""Admission: a verb takes one permit for its whole cost before it starts, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.errors import QueueFullError, RequestTooLargeError
from app.inference.batch import Timing
from app.inference.engine import Engine


@dataclass(slots=True)
class Admission:
    """Limits the pixels in work. A cost covers every stage of a verb, so no verb is refused between
    two stages. Only the event loop uses it.
    """

    capacity: int
    """Pixels that all admitted verbs together may have in work."""
    used: int = 0

    def take(self, cost: int) -> None:
        """Adds `cost` pixels to the work in progress, until `give`.

        Raises:
            RequestTooLargeError: the cost is above the capacity, so that it can never fit.
            QueueFullError: it does not fit now.
        """
        if cost > self.capacity:
            detail = (
                f"the request costs {cost} pixels, more than the {self.capacity} that the "
                "queue may hold; split it"
            )
            raise RequestTooLargeError(detail, limit=self.capacity)
        if self.used + cost > self.capacity:
            detail = "the queue is full; try again shortly"
            raise QueueFullError(detail, limit=self.capacity, retry_after=1)
        self.used += cost

    def give(self, cost: int) -> None:
        """Subtracts what `take` has added."""
        self.used -= cost

    @contextmanager
    def admit(self, cost: int) -> Iterator[None]:
        """Holds `cost` pixels while the block runs; errors as `take` raises."""
        self.take(cost)
        try:
            yield
        finally:
            self.give(cost)


@dataclass(slots=True)
class Permit:
    """A place in an admission and the use of an engine, given back at the end of the block.

    The caller holds it until the response is formatted, because the result is in memory until
    then. It holds nothing before `take`.
    """

    admission: Admission
    timing: Timing = field(default_factory=Timing)
    """Of the verb's stages so far."""
    _cost: int = 0
    _engine: Engine | None = None

    def take(self, engine: Engine, cost: int) -> None:
        """Admits a verb that costs `cost` pixels over all its stages; once for each permit.

        Raises:
            ShuttingDownError: the engine is closing.
            RequestTooLargeError, QueueFullError: as `Admission.take` raises.
        """
        self.admission.take(cost)
        self._cost = cost
        engine.begin()
        self._engine = engine

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self.admission.give(self._cost)
        if self._engine is not None:
            self._engine.end()
