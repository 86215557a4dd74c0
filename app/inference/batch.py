"""One caller's rows: how they pass through batches chunk by chunk and become one answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import EngineFailedError

logger = logging.getLogger(__name__)

Array = NDArray[Any]
Outputs = tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outputs of a caller's rows, and the seconds that they waited and ran."""

    outputs: Outputs
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class Caller:
    """The rows of one caller, how many of them have run, and the future that the caller awaits."""

    rows: Array
    future: asyncio.Future[Outcome]
    queued_at: float
    taken: int = 0
    delivered: int = 0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    outputs: Outputs = ()

    def deliver(self, start: int, stop: int, outputs: Outputs, seconds: float) -> None:
        """Keeps the outputs of rows start … stop−1, and answers the caller after the last rows.

        Does nothing if the caller has left or has failed. Outputs whose shape differs from those
        of earlier rows fail this caller.
        """
        if self.future.done():
            return
        self.run_seconds += seconds
        self.delivered += stop - start
        try:
            self._keep(start, stop, outputs)
        except ValueError as error:
            logger.exception("a chunk does not fit the chunks before it")
            self.fail(error)
            return
        if self.delivered == len(self.rows):
            self.future.set_result(Outcome(self.outputs, self.queue_seconds, self.run_seconds))

    def fail(self, error: BaseException) -> None:
        """Raises a new exception in the caller, unless it already has an answer."""
        if not self.future.done():
            detail = error.detail if isinstance(error, EngineFailedError) else "the graph failed"
            failure = EngineFailedError(detail)
            failure.__cause__ = error
            self.future.set_exception(failure)

    def _keep(self, start: int, stop: int, outputs: Outputs) -> None:
        if stop - start == len(self.rows):
            self.outputs = outputs
            return
        if not self.outputs:
            n = len(self.rows)
            self.outputs = tuple(np.empty((n, *one.shape[1:]), one.dtype) for one in outputs)
        for whole, output in zip(self.outputs, outputs, strict=True):
            if output.shape[1:] != whole.shape[1:]:  # NumPy might broadcast it
                msg = f"a chunk has rows of shape {output.shape[1:]}, not {whole.shape[1:]}"
                raise ValueError(msg)
            whole[start:stop] = output


@dataclass(slots=True)
class Timing:
    """The seconds that a verb's rows waited and ran, summed over its stages."""

    queue: float = 0.0
    run: float = 0.0

    def add(self, answer: Outcome) -> Outcome:
        """Adds the times of a stage and returns its answer."""
        self.queue += answer.queue_seconds
        self.run += answer.run_seconds
        return answer

    @property
    def header(self) -> str:
        """The value of `Server-Timing`, in milliseconds."""
        return f"queue;dur={self.queue * 1e3:.3f}, run;dur={self.run * 1e3:.3f}"
