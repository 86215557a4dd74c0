"""Lanes: the threads that run batches, shared by every batcher of the process.

A source (a batcher) says once that it has work. A free lane takes one batch from the source
that has waited longest; a source with more work goes to the end of the line, so that no model
and no large request starves another. Nothing polls and nothing waits for a timer: while a
batch runs, the next one gathers in its source.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from typing import Any, Protocol, TypeVar

logger = logging.getLogger(__name__)

INLINE_SECONDS = 0.001
"""A batch expected to be shorter runs on the event loop: the hop to a thread costs as much."""


class Batch(Protocol):
    """Work for one lane; it keeps its own result."""

    expected_seconds: float


BatchT = TypeVar("BatchT", bound=Batch)


class Source(Protocol[BatchT]):
    """Where batches come from; called on the event loop, but for `compute`."""

    def take(self) -> BatchT | None:
        """The next batch, or None when nothing waits."""

    def has_work(self) -> bool:
        """Whether another batch could be taken."""

    def compute(self, batch: BatchT) -> None:
        """Runs a batch in a lane, or on the event loop when it is short."""

    def settle(self, batch: BatchT, seconds: float, error: BaseException | None) -> None:
        """Takes the run time of a batch, and what `compute` raised, if anything."""

    def fail(self, error: Exception) -> None:
        """Fails everything that waits, after a defect in `take` or `settle`."""


class Lanes:
    """`count` threads and the line of sources that wait for them.

    Every method is called on the event loop that first offers work.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._line: deque[Source[Any]] = deque()
        self._scheduled = False
        self._jobs: queue.SimpleQueue[tuple[Source[Any], Batch] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def offer(self, source: Source[Any]) -> None:
        """Puts a source in the line; it is asked for a batch on a later turn of the loop.

        The delay is what lets requests that are already parsed join the same batch.
        """
        if source not in self._line:
            self._line.append(source)
        self._schedule()

    def close(self, *, join: bool = True) -> None:
        """Ends the threads once what they run has finished; the sources are drained before.

        Waits for them if `join`.
        """
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads if join else ():
            thread.join()
        self._threads.clear()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._free and self._line:
            source = self._line.popleft()
            batch = self._take(source)
            if batch is None:
                continue
            if source.has_work():
                self._line.append(source)
            if batch.expected_seconds <= INLINE_SECONDS:
                self._settle(source, batch, *self._timed(source, batch))
                # One short batch a turn: the loop reads its sockets in between.
                if self._line:
                    self._schedule()
                return
            self._hand_over(source, batch)

    def _take(self, source: Source[Any]) -> Batch | None:
        try:
            return source.take()
        except Exception as error:
            logger.exception("a batch could not be formed")
            source.fail(error)
            return None

    def _hand_over(self, source: Source[Any], batch: Batch) -> None:
        if len(self._threads) <= self.count - self._free and not self._start_thread():
            msg = "the machine can't start a thread for the batch"
            self._settle(source, batch, 0.0, RuntimeError(msg))
            return
        self._free -= 1
        self._jobs.put((source, batch))

    def _start_thread(self) -> bool:
        """Whether there is a thread to run a batch in: a new one, or at least an earlier one."""
        thread = threading.Thread(
            target=self._work,
            args=(asyncio.get_running_loop(),),
            name=f"lane-{len(self._threads)}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # a container's limit on processes counts threads
            logger.exception("a lane's thread could not be started")
            return bool(self._threads)
        self._threads.append(thread)
        return True

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (job := self._jobs.get()) is not None:
            seconds, error = self._timed(*job)
            try:
                loop.call_soon_threadsafe(self._finished, *job, seconds, error)
            except RuntimeError:
                return  # the loop is closed, so nobody waits any more
            del job, error  # an idle lane must not keep a batch in memory

    def _timed(self, source: Source[Any], batch: Batch) -> tuple[float, BaseException | None]:
        started = time.perf_counter()
        try:
            source.compute(batch)
        except BaseException as error:  # whatever a batch raises, the lane and the loop live on
            return time.perf_counter() - started, error
        return time.perf_counter() - started, None

    def _finished(
        self, source: Source[Any], batch: Batch, seconds: float, error: BaseException | None
    ) -> None:
        self._free += 1
        self._settle(source, batch, seconds, error)
        self._dispatch()

    @staticmethod
    def _settle(
        source: Source[Any], batch: Batch, seconds: float, error: BaseException | None
    ) -> None:
        try:
            source.settle(batch, seconds, error)
        except Exception as defect:
            logger.exception("a batch could not be settled")
            source.fail(defect)
