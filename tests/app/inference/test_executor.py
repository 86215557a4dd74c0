"""Lanes: how many batches run, where they run, and what a defect does to the others."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from app.inference.executor import INLINE_SECONDS, Lanes
from tests.app.loops import in_loop

LONG = 10 * INLINE_SECONDS
SHORT = INLINE_SECONDS / 2


class Job:
    """A batch that runs a function and keeps what became of it."""

    def __init__(self, work: Callable[[], object], expected_seconds: float = LONG) -> None:
        self.work = work
        self.expected_seconds = expected_seconds
        self.settled = asyncio.Event()
        self.error: BaseException | None = None
        self.seconds = -1.0
        self.thread = ""

    def run(self) -> None:
        self.thread = threading.current_thread().name
        self.work()

    def settle(self, seconds: float, error: BaseException | None) -> None:
        self.seconds, self.error = seconds, error
        self.settled.set()


class Jobs:
    """A source of given batches."""

    def __init__(self, *jobs: Job) -> None:
        self.waiting = deque(jobs)
        self.failed: list[Exception] = []

    def take(self) -> Job | None:
        return self.waiting.popleft() if self.waiting else None

    def has_work(self) -> bool:
        return bool(self.waiting)

    def compute(self, job: Job) -> None:
        job.run()

    def settle(self, job: Job, seconds: float, error: BaseException | None) -> None:
        job.settle(seconds, error)

    def fail(self, error: Exception) -> None:
        self.failed.append(error)


def nothing() -> None:
    """Work that takes no time."""


@in_loop
async def test_runs_no_more_batches_than_lanes() -> None:
    """With two lanes two batches run side by side and the third waits for one of them."""
    lanes, gate, running = Lanes(2), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        running.release()
        gate.wait()

    jobs = [Job(work) for _ in range(3)]
    lanes.offer(Jobs(*jobs))
    await asyncio.to_thread(running.acquire)
    await asyncio.to_thread(running.acquire)
    assert not running.acquire(blocking=False)
    gate.set()
    await asyncio.gather(*(job.settled.wait() for job in jobs))
    lanes.close()
    assert {job.thread for job in jobs} <= {"lane-0", "lane-1"}


@in_loop
async def test_a_busy_lane_takes_no_short_batch_on_the_loop() -> None:
    """A batch that could run on the loop counts as a lane too: with one lane busy it waits."""
    lanes, gate = Lanes(1), threading.Event()
    long, short = Job(gate.wait), Job(nothing, SHORT)
    lanes.offer(Jobs(long))
    await asyncio.sleep(0)
    lanes.offer(Jobs(short))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not short.settled.is_set()
    gate.set()
    await short.settled.wait()
    lanes.close()


@pytest.mark.parametrize(("expected", "thread"), [(SHORT, "MainThread"), (LONG, "lane-0")])
@in_loop
async def test_only_short_batches_run_on_the_loop(expected: float, thread: str) -> None:
    """A batch expected to be shorter than the bound runs on the loop, any other in a lane."""
    lanes, job = Lanes(1), Job(nothing, expected)
    lanes.offer(Jobs(job))
    await job.settled.wait()
    lanes.close()
    assert job.thread == thread


@in_loop
async def test_takes_a_batch_on_a_later_turn_of_the_loop() -> None:
    """A source is asked only after the code that offered it has yielded, so that others join."""
    lanes, job = Lanes(1), Job(nothing, SHORT)
    lanes.offer(Jobs(job))
    assert job.seconds == -1.0
    await asyncio.sleep(0)
    assert job.seconds >= 0


@in_loop
async def test_the_loop_turns_between_short_batches() -> None:
    """Many short batches do not keep the loop from reading its sockets in between."""
    order: list[str] = []
    jobs = [Job(lambda: order.append("batch"), SHORT) for _ in range(3)]

    async def reader() -> None:
        for _ in range(3):
            order.append("read")
            await asyncio.sleep(0)

    reading = asyncio.create_task(reader())
    Lanes(1).offer(Jobs(*jobs))
    await asyncio.gather(reading, *(job.settled.wait() for job in jobs))
    assert order[:6] != ["batch"] * 3 + ["read"] * 3
    assert order.index("read") < len(order) - order[::-1].index("batch") - 1


@in_loop
async def test_sources_take_turns() -> None:
    """A source with much work goes to the end of the line after each batch."""
    lanes, order = Lanes(1), list[str]()
    much = [Job(lambda: order.append("much")) for _ in range(3)]
    little = Job(lambda: order.append("little"))
    lanes.offer(Jobs(*much))
    lanes.offer(Jobs(little))
    await asyncio.gather(*(job.settled.wait() for job in (*much, little)))
    lanes.close()
    assert order == ["much", "little", "much", "much"]


@pytest.mark.parametrize("expected", [SHORT, LONG])
@pytest.mark.parametrize("error", [RuntimeError("graph"), SystemExit(3)])
@in_loop
async def test_a_lane_survives_whatever_a_batch_raises(
    error: BaseException, expected: float
) -> None:
    """An exception in a run is handed to its own batch, and the next batch runs."""

    def fail() -> None:
        raise error

    lanes, failing, next_one = Lanes(1), Job(fail, expected), Job(nothing, expected)
    lanes.offer(Jobs(failing, next_one))
    await next_one.settled.wait()
    lanes.close()
    assert failing.error is error
    assert next_one.error is None


@in_loop
async def test_a_defect_in_take_fails_the_source_and_spares_the_others() -> None:
    """When a batch can't be formed its source fails those who wait; other sources go on."""

    class Broken(Jobs):
        def take(self) -> Job | None:
            raise RuntimeError("take")

    lanes, broken, job = Lanes(1), Broken(), Job(nothing)
    lanes.offer(broken)
    lanes.offer(Jobs(job))
    await job.settled.wait()
    lanes.close()
    assert [str(error) for error in broken.failed] == ["take"]


@pytest.mark.parametrize("expected", [SHORT, LONG])
@in_loop
async def test_a_defect_in_settle_fails_the_source_and_frees_the_lane(expected: float) -> None:
    """When answers can't be handed out the source fails those who wait; the lane goes on."""

    class Unsettled(Job):
        def settle(self, seconds: float, error: BaseException | None) -> None:
            raise RuntimeError("settle")

    lanes, source, job = Lanes(1), Jobs(Unsettled(nothing, expected)), Job(nothing)
    lanes.offer(source)
    lanes.offer(Jobs(job))
    await job.settled.wait()
    lanes.close()
    assert [str(error) for error in source.failed] == ["settle"]


@in_loop
async def test_a_thread_that_can_not_start_is_an_error_and_no_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the machine gives no thread the batch is settled with an error."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lanes, job = Lanes(1), Job(nothing)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        lanes.offer(Jobs(job))
        await job.settled.wait()
    assert isinstance(job.error, RuntimeError)
    again = Job(nothing)
    lanes.offer(Jobs(again))
    await again.settled.wait()
    lanes.close()
    assert again.error is None


@in_loop
async def test_measures_a_run_by_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds that a batch is settled with are those that its run took."""
    times = iter([10.0, 12.5])
    clock = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr("app.inference.executor.time", clock)
    lanes, job = Lanes(1), Job(nothing, SHORT)
    lanes.offer(Jobs(job))
    await job.settled.wait()
    assert job.seconds == 2.5


@in_loop
async def test_an_idle_lane_keeps_no_batch_in_memory() -> None:
    """Once a batch is settled the lane lets go of it, although its thread lives on."""
    lanes, source = Lanes(1), Jobs()
    job = Job(nothing)
    kept = weakref.ref(job)
    source.waiting.append(job)
    lanes.offer(source)
    await job.settled.wait()
    after = Job(nothing)
    lanes.offer(Jobs(after))
    await after.settled.wait()
    del job
    gc.collect()
    assert kept() is None
    lanes.close()


@in_loop
async def test_close_waits_for_running_batches_and_ends_the_threads() -> None:
    """Closing returns when the lanes' threads have ended."""
    lanes, started = Lanes(2), threading.Event()
    job = Job(started.set)
    lanes.offer(Jobs(job))
    await asyncio.to_thread(started.wait)
    before = [thread for thread in threading.enumerate() if thread.name.startswith("lane-")]
    lanes.close()
    assert before
    assert not any(thread.is_alive() for thread in before)
