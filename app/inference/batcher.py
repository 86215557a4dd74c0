"""The micro-batcher: joins rows of concurrent callers into batches and hands each its own back.

It knows rows, shapes and run times, but no images, models or HTTP.

- Rows are joined only when their types and shapes are equal.
- A batch is sized to about `TARGET_SECONDS` of measured work. A caller with more rows than
  that gets one chunk a batch and goes to the end of the queue in between.
- A caller who has left is skipped when rows are taken and when they are delivered.
- A failed batch fails only its own callers, and each gets a separate exception.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import EngineFailedError
from app.inference.batch import Array, Caller, Outcome, Outputs
from app.inference.executor import Lanes

logger = logging.getLogger(__name__)

Run = Callable[[Array], Sequence[Array]]
_Kind = tuple[np.dtype[Any], tuple[int, ...]]
"""Type and shape of a row. NumPy would join rows of different types without an error."""

TARGET_SECONDS = 0.005
_SMOOTHING = 0.2
_REMEMBERED_SHAPES = 64


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The size and duration of one batch, for metrics."""

    rows: int
    seconds: float
    queue_seconds: tuple[float, ...]
    """Of each caller whose first rows are in this batch."""
    failed: bool


@dataclass(frozen=True, slots=True)
class _Part:
    call: Caller
    start: int
    stop: int


@dataclass(slots=True)
class _Batch:
    parts: list[_Part]
    rows: int
    expected_seconds: float
    outputs: Outputs = ()
    work_seconds: float = 0.0


class MicroBatcher:
    """Batches calls of one graph.

    Args:
        run: rows [n, …] → one or more arrays [n, …]; called in a lane.
        lanes: the threads that run batches.
        seconds_per_row: measured work of one row, by its shape; the batcher learns other shapes.
        max_rows: the largest number of rows in a batch.
        observe: called on the event loop after each batch.
        work_clock: seconds of work, from which the size of batches follows. The default is the
            thread's processor time: elapsed time would make batches smaller on a busy machine.
            Elapsed time is right if other threads or a GPU do the work.
    """

    def __init__(
        self,
        run: Run,
        lanes: Lanes,
        *,
        seconds_per_row: dict[tuple[int, ...], float] | None = None,
        max_rows: int = 256,
        observe: Callable[[BatchReport], None] = lambda report: None,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._run = run
        self._lanes = lanes
        self._seconds_per_row = OrderedDict(seconds_per_row or {})
        self._max_rows = max_rows
        self._observe = observe
        self._work_clock = work_clock
        self._queues: OrderedDict[_Kind, deque[Caller]] = OrderedDict()
        self._unfinished: set[Caller] = set()

    async def __call__(self, rows: Array) -> Outcome:
        """Runs `rows` [n, …], n ≥ 1, in one or several batches, and returns their outputs in order.

        Raises:
            ValueError: there are no rows.
            EngineFailedError: a batch with these rows failed.
        """
        if not len(rows):
            raise ValueError("a call needs at least one row")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        call = Caller(rows, future, time.perf_counter())
        self._queues.setdefault((rows.dtype, rows.shape[1:]), deque()).append(call)
        self._unfinished.add(call)
        self._lanes.offer(self)
        try:
            return await future
        finally:
            self._unfinished.discard(call)

    def has_work(self) -> bool:
        """Whether rows wait."""
        return bool(self._queues)

    def take(self) -> _Batch | None:
        """Forms a batch of the kind of rows that has waited longest; None if no rows wait."""
        while self._queues:
            kind, calls = self._queues.popitem(last=False)
            row_seconds = self._seconds_per_row.get(kind[1])
            parts = self._fill(calls, self._row_limit(row_seconds))
            if calls:
                self._queues[kind] = calls
            if parts:
                rows = sum(part.stop - part.start for part in parts)
                expected = TARGET_SECONDS if row_seconds is None else row_seconds * rows
                return _Batch(parts, rows, expected)
        return None

    def fail(self, error: Exception) -> None:
        """Fails every caller."""
        self._queues.clear()
        for call in self._unfinished:
            call.fail(error)

    def compute(self, batch: _Batch) -> None:
        """Runs the graph for the rows of a batch, in a lane.

        Raises:
            EngineFailedError: the graph returned outputs of another number of rows.
        """
        chunks = [part.call.rows[part.start : part.stop] for part in batch.parts]
        rows = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
        started = self._work_clock()
        batch.outputs = tuple(self._run(rows))
        batch.work_seconds = self._work_clock() - started
        lengths = [len(output) for output in batch.outputs]
        if set(lengths) != {batch.rows}:
            msg = f"the graph returned outputs of {lengths} rows for {batch.rows}"
            raise EngineFailedError(msg)

    def settle(self, batch: _Batch, seconds: float, error: BaseException | None) -> None:
        """Answers the callers of a batch and reports it."""
        if error is None:
            self._learn(batch)
            self._hand_out(batch, seconds)
        else:
            logger.error("a batch of %d rows failed", batch.rows, exc_info=error)
            for part in batch.parts:
                part.call.fail(error)
        waits = tuple(part.call.queue_seconds for part in batch.parts if part.start == 0)
        failed = error is not None
        try:
            self._observe(BatchReport(batch.rows, seconds, waits, failed))
        except Exception:  # a metric must not fail callers who have their answers
            logger.exception("a batch could not be counted")

    def _row_limit(self, row_seconds: float | None) -> int:
        if row_seconds is None:
            return 1  # the first row of a new shape measures its cost
        return max(1, min(self._max_rows, int(TARGET_SECONDS / max(row_seconds, 1e-9))))

    def _fill(self, calls: deque[Caller], room: int) -> list[_Part]:
        parts: list[_Part] = []
        unfinished: list[Caller] = []
        while calls and room:
            call = calls.popleft()
            if call.future.done():
                continue
            count = min(room, len(call.rows) - call.taken)
            if not call.taken:
                call.queue_seconds = time.perf_counter() - call.queued_at
            parts.append(_Part(call, call.taken, call.taken + count))
            call.taken += count
            room -= count
            if call.taken < len(call.rows):
                unfinished.append(call)
        calls.extend(unfinished)
        return parts

    @staticmethod
    def _hand_out(batch: _Batch, seconds: float) -> None:
        offset = 0
        for part in batch.parts:
            end = offset + part.stop - part.start
            rows = tuple(output[offset:end] for output in batch.outputs)
            part.call.deliver(part.start, part.stop, rows, seconds)
            offset = end

    def _learn(self, batch: _Batch) -> None:
        shape = batch.parts[0].call.rows.shape[1:]
        measured = batch.work_seconds / batch.rows
        known = self._seconds_per_row.pop(shape, measured)
        self._seconds_per_row[shape] = known + _SMOOTHING * (measured - known)
        if len(self._seconds_per_row) > _REMEMBERED_SHAPES:
            self._seconds_per_row.popitem(last=False)
