"""A permit: what a request holds from its start until its answer is formatted."""

from __future__ import annotations

from types import TracebackType

from app.inference.admission import Admission
from app.inference.engine import Engine


class Permit:
    """A place in an admission and the use of an engine, given back at the end of the block.

    Held for longer than the verb runs: what a verb returned is in memory as long as it is
    formatted. Until `take`, it holds nothing.
    """

    __slots__ = ("_admission", "_cost", "_engine")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._cost = 0
        self._engine: Engine | None = None

    def take(self, engine: Engine, cost: int) -> None:
        """Admits a verb that costs `cost` pixels over all its stages; once for each permit.

        Raises:
            ShuttingDownError: the engine is closing.
            RequestTooLargeError, QueueFullError: as `Admission.take` raises.
        """
        self._admission.take(cost)
        self._cost = cost
        engine.begin()
        self._engine = engine

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admission.give(self._cost)
        if self._engine is not None:
            self._engine.end()
