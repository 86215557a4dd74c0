"""The micro-batcher: whom a batch holds, who is answered, and whom a failure reaches."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import EngineFailedError
from app.inference.admission import Admission
from app.inference.batch import Outcome
from app.inference.batcher import BatchReport, MicroBatcher
from app.inference.executor import Lanes
from tests.app.loops import HandLanes, in_loop, settle_down

Array = NDArray[np.float32]

WIDTH = 3
SHAPE: tuple[int, ...] = (WIDTH,)
MILLISECOND: dict[tuple[int, ...], float] = {SHAPE: 0.001}


def rows(*values: float, width: int = WIDTH) -> Array:
    """Rows [n, width], each filled with its value."""
    return np.repeat(np.array(values, dtype=np.float32)[:, None], width, axis=1)


def first_column(answer: Outcome) -> list[float]:
    return [float(value) for value in answer.outputs[0][:, 0]]


class Double:
    """A graph that answers twice its rows, and keeps the first column of each batch it ran.

    Its `clock` says that each row takes `row_seconds`.
    """

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.error: BaseException | None = None
        self.row_seconds = 0.001
        self.worked = 0.0

    def clock(self) -> float:
        return self.worked

    def __call__(self, batch: Array) -> Sequence[Array]:
        self.worked += self.row_seconds * len(batch)
        self.batches.append([float(value) for value in batch[:, 0]])
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return (batch * 2,)


def call(batcher: MicroBatcher, *values: float, width: int = WIDTH) -> asyncio.Task[Outcome]:
    async def run() -> Outcome:
        return await batcher(rows(*values, width=width))

    return asyncio.create_task(run())


@in_loop
async def test_joins_waiting_callers_and_gives_each_its_own_rows() -> None:
    """Rows of several callers run as one batch, and each gets the answers to its own, in order."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, seconds_per_row=MILLISECOND)
    calls = [call(batcher, 1), call(batcher, 2, 3), call(batcher, 4)]
    await settle_down()
    await lanes.finish(lanes.take())
    assert [first_column(await one) for one in calls] == [[2], [4, 6], [8]]
    assert graph.batches == [[1, 2, 3, 4]]


@in_loop
async def test_a_caller_who_leaves_during_the_run_disturbs_nobody() -> None:
    """Cancelling one of a running batch leaves its neighbours their answers."""
    lanes = HandLanes()
    batcher = MicroBatcher(Double(), lanes, seconds_per_row=MILLISECOND)
    calls = [call(batcher, value) for value in (1, 2, 3, 4)]
    await settle_down()
    batch = lanes.take()
    calls[1].cancel()
    await settle_down()
    await lanes.finish(batch)
    assert [first_column(await calls[index]) for index in (0, 2, 3)] == [[2], [6], [8]]
    assert calls[1].cancelled()


@in_loop
async def test_a_caller_who_left_before_is_never_run() -> None:
    """Rows of a caller who left while they waited are in no batch."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, seconds_per_row=MILLISECOND)
    gone, stays = call(batcher, 1), call(batcher, 2)
    await settle_down()
    gone.cancel()
    await settle_down()
    await lanes.finish(lanes.take())
    assert first_column(await stays) == [4]
    assert graph.batches == [[2]]


@in_loop
async def test_callers_who_all_left_leave_no_batch() -> None:
    """When everybody who waited has left there is no batch to run and nothing is kept."""
    lanes = HandLanes()
    batcher = MicroBatcher(Double(), lanes, seconds_per_row=MILLISECOND)
    gone = call(batcher, 1)
    await settle_down()
    gone.cancel()
    await settle_down()
    assert batcher.take() is None
    assert not batcher.has_work()


@in_loop
async def test_a_failed_batch_fails_its_own_callers_and_the_next_one_works() -> None:
    """An engine that raises once fails that batch, each caller with its own error, and no more."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, seconds_per_row=MILLISECOND)
    graph.error = RuntimeError("out of memory at 0xdead")
    failed = [call(batcher, 1), call(batcher, 2)]
    await settle_down()
    await lanes.finish(lanes.take())
    errors = await asyncio.gather(*failed, return_exceptions=True)
    assert [type(error) for error in errors] == [EngineFailedError, EngineFailedError]
    assert errors[0] is not errors[1]
    assert "0xdead" not in str(errors[0])
    later = call(batcher, 3)
    await settle_down()
    await lanes.finish(lanes.take())
    assert first_column(await later) == [6]


@pytest.mark.parametrize("returned", [0, 1, 3])
@in_loop
async def test_a_wrong_number_of_rows_is_an_error_for_its_own_callers(returned: int) -> None:
    """A graph that answers more or fewer rows than it got fails its callers, never shifts them."""
    answers = [np.zeros((returned, 1), np.float32), np.ones((1, 1), np.float32)]
    lanes = HandLanes()
    batcher = MicroBatcher(lambda batch: [answers.pop(0)], lanes, seconds_per_row=MILLISECOND)
    pair = [call(batcher, 1), call(batcher, 2)]
    await settle_down()
    await lanes.finish(lanes.take())
    errors = await asyncio.gather(*pair, return_exceptions=True)
    assert all(isinstance(error, EngineFailedError) for error in errors)
    later = call(batcher, 3)
    await settle_down()
    await lanes.finish(lanes.take())
    assert first_column(await later) == [1]


@in_loop
async def test_a_graph_without_outputs_is_an_error() -> None:
    """No output at all fails the callers instead of leaving them without an answer."""
    lanes = HandLanes()
    batcher = MicroBatcher(lambda batch: (), lanes, seconds_per_row=MILLISECOND)
    waiting = call(batcher, 1)
    await settle_down()
    await lanes.finish(lanes.take())
    with pytest.raises(EngineFailedError):
        await waiting


@in_loop
async def test_chunks_of_different_shape_fail_their_caller_alone() -> None:
    """A second chunk whose rows would be broadcast into the first one's fails that caller."""
    widths = [WIDTH, 1, WIDTH]
    lanes = HandLanes()
    batcher = MicroBatcher(
        lambda batch: [batch[:, : widths.pop(0)]],
        lanes,
        seconds_per_row=MILLISECOND,
        max_rows=5,
    )
    large = call(batcher, *range(8))
    await settle_down()
    await lanes.finish(lanes.take())
    small = call(batcher, 9)
    await settle_down()
    await lanes.finish(lanes.take())
    with pytest.raises(EngineFailedError):
        await large
    assert first_column(await small) == [9]


@in_loop
async def test_joins_only_rows_of_equal_shape() -> None:
    """Rows of another shape form a batch of their own, after those that came first."""
    lanes = HandLanes()
    batcher = MicroBatcher(
        lambda batch: (batch,), lanes, seconds_per_row={(2,): 0.001, (5,): 0.001}
    )
    calls = [call(batcher, 1, width=2), call(batcher, 2, width=5), call(batcher, 3, width=2)]
    await settle_down()
    sizes = []
    while batcher.has_work():
        batch = lanes.take()
        await lanes.finish(batch)
        sizes.append([one.done() for one in calls])
    assert sizes == [[True, False, True], [True, True, True]]
    assert [answer.outputs[0].shape for answer in [await one for one in calls]] == [
        (1, 2),
        (1, 5),
        (1, 2),
    ]


@in_loop
async def test_joins_only_rows_of_equal_type() -> None:
    """Rows of another type form a batch of their own, though NumPy could convert them."""
    lanes = HandLanes()
    seen: list[np.dtype[Any]] = []

    def run(batch: Array) -> Sequence[Array]:
        seen.append(batch.dtype)
        return (batch,)

    batcher = MicroBatcher(run, lanes, seconds_per_row=MILLISECOND)
    floats = call(batcher, 1)
    bytes_ = asyncio.create_task(batcher(np.full((1, WIDTH), 2, np.uint8)))
    await settle_down()
    while batcher.has_work():
        await lanes.finish(lanes.take())
    assert seen == [np.float32, np.uint8]
    assert [(await one).outputs[0].dtype for one in (floats, bytes_)] == [np.float32, np.uint8]


@in_loop
async def test_a_large_request_takes_turns_with_small_ones() -> None:
    """A request of many rows goes in chunks, and a small one that comes later is not behind it."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, seconds_per_row=MILLISECOND, work_clock=graph.clock)
    large = call(batcher, *range(20))
    await settle_down()
    first = lanes.take()
    small = call(batcher, 100)
    await settle_down()
    await lanes.finish(first, seconds=0.005)
    while not small.done():
        await lanes.finish(lanes.take(), seconds=0.005)
    assert first_column(await small) == [200]
    assert not large.done()
    while batcher.has_work():
        await lanes.finish(lanes.take(), seconds=0.005)
    assert first_column(await large) == [2 * value for value in range(20)]
    assert graph.batches == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [100, 10, 11, 12, 13],
        [14, 15, 16, 17, 18],
        [19],
    ]


@in_loop
async def test_batches_are_sized_by_the_measured_run_time() -> None:
    """Rows that turn out slower make smaller batches; a shape never seen starts with one row."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, work_clock=graph.clock)
    waiting = call(batcher, *range(60))
    await settle_down()
    graph.row_seconds = 0.0005
    await lanes.finish(lanes.take())
    graph.row_seconds = 0.00155
    await lanes.finish(lanes.take())
    while batcher.has_work():
        await lanes.finish(lanes.take())
    await waiting
    # 5 ms / 0.5 ms, then 5 ms / (0.5 ms + 0.2 · (1.55 ms − 0.5 ms)).
    assert [len(batch) for batch in graph.batches[:3]] == [1, 10, 7]


@in_loop
async def test_waiting_for_a_busy_machine_makes_no_batch_smaller() -> None:
    """Batches are sized by the work of their thread, not by the time that passed meanwhile."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(graph, lanes, seconds_per_row=MILLISECOND, work_clock=graph.clock)
    waiting = call(batcher, *range(20))
    await settle_down()
    while batcher.has_work():
        await lanes.finish(lanes.take(), seconds=3.0)
    assert (await waiting).run_seconds == 12.0
    assert [len(batch) for batch in graph.batches] == [5, 5, 5, 5]


@in_loop
async def test_max_rows_bounds_a_batch_of_fast_rows() -> None:
    """However fast rows are, a batch has no more than `max_rows` of them."""
    lanes, graph = HandLanes(), Double()
    batcher = MicroBatcher(
        graph, lanes, seconds_per_row={SHAPE: 0.0}, max_rows=4, work_clock=lambda: 0.0
    )
    waiting = call(batcher, *range(10))
    await settle_down()
    while batcher.has_work():
        await lanes.finish(lanes.take(), seconds=0.0)
    await waiting
    assert [len(batch) for batch in graph.batches] == [4, 4, 2]


@in_loop
async def test_reports_waiting_and_running_once_for_each_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each batch is reported once, and a caller's wait once, however many chunks it has."""
    now = 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr("app.inference.batcher.time", clock)
    reports: list[BatchReport] = []
    lanes = HandLanes()
    batcher = MicroBatcher(
        Double(),
        lanes,
        seconds_per_row=MILLISECOND,
        max_rows=5,
        observe=reports.append,
    )
    waiting = call(batcher, *range(7))
    await settle_down()
    now = 2.0
    await lanes.finish(lanes.take(), seconds=0.005)
    now = 3.0
    await lanes.finish(lanes.take(), seconds=0.002)
    answer = await waiting
    assert [(report.rows, report.queue_seconds) for report in reports] == [
        (5, (2.0,)),
        (2, ()),
    ]
    assert answer.queue_seconds == 2.0
    assert answer.run_seconds == pytest.approx(0.007)


@in_loop
async def test_a_failing_observer_costs_nobody_an_answer() -> None:
    """A defect in counting is logged and the callers keep their answers."""

    def observe(report: BatchReport) -> None:
        raise RuntimeError

    lanes = HandLanes()
    batcher = MicroBatcher(Double(), lanes, seconds_per_row=MILLISECOND, observe=observe)
    waiting = call(batcher, 1)
    await settle_down()
    await lanes.finish(lanes.take())
    assert first_column(await waiting) == [2]


@in_loop
async def test_fail_reaches_everyone_who_waits_or_runs() -> None:
    """After a defect of the batcher itself its callers get an error instead of waiting for ever."""
    lanes = HandLanes()
    batcher = MicroBatcher(Double(), lanes, seconds_per_row=MILLISECOND)
    calls = [call(batcher, 1)]
    await settle_down()
    running = lanes.take()
    calls.append(call(batcher, 2))
    await settle_down()
    batcher.fail(RuntimeError("defect"))
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, EngineFailedError) for error in errors)
    assert not batcher.has_work()
    await lanes.finish(running)


@in_loop
async def test_a_call_without_rows_is_a_defect() -> None:
    """No rows have no answer: the caller is told at once and no batch is made of them."""
    batcher = MicroBatcher(Double(), HandLanes())
    with pytest.raises(ValueError, match="at least one row"):
        await batcher(rows())


@settings(max_examples=40, deadline=None)
@given(
    requests=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    cuts=st.lists(st.sampled_from([0.0002, 0.001, 0.01]), min_size=1, max_size=5),
    late=st.integers(0, 4),
)
def test_a_row_is_answered_alike_in_any_company(
    requests: list[int], cuts: list[float], late: int
) -> None:
    """Whatever callers, chunks and run times are mixed, each row's answer is bit-equal."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(WIDTH, 4)).astype(np.float32)

    def graph(batch: Array) -> Sequence[Array]:
        return tuple(np.stack([row @ weights for row in batch]) for _ in range(2))

    inputs = [generator.normal(size=(n, WIDTH)).astype(np.float32) for n in requests]

    async def scenario() -> list[Outcome]:
        lanes = HandLanes()
        ticks = itertools.cycle([0.0, *cuts])
        batcher = MicroBatcher(
            graph,
            lanes,
            seconds_per_row=MILLISECOND,
            work_clock=lambda: next(ticks),
        )

        async def run(part: Array) -> Outcome:
            return await batcher(part)

        early = [asyncio.create_task(run(part)) for part in inputs[late:]]
        await settle_down()
        if batcher.has_work():
            await lanes.finish(lanes.take())
        calls = [asyncio.create_task(run(part)) for part in inputs[:late]] + early
        await settle_down()
        while batcher.has_work():
            await lanes.finish(lanes.take())
        return [await one for one in calls]

    for part, answer in zip(inputs, asyncio.run(scenario()), strict=True):
        expected = graph(part)
        assert [output.tobytes() for output in answer.outputs] == [
            output.tobytes() for output in expected
        ]


@pytest.mark.parametrize("seed", range(6))
@in_loop
async def test_nothing_is_left_after_a_storm(seed: int) -> None:
    """Random cancelling and failing leaves no caller waiting and no permit taken."""
    chance = random.Random(seed)  # noqa: S311 a storm needs no secrets

    def graph(batch: Array) -> Sequence[Array]:
        if (batch == 13).any():
            raise RuntimeError
        return (batch * 2,)

    lanes, admission = Lanes(2), Admission(10_000)
    batcher = MicroBatcher(graph, lanes, seconds_per_row={SHAPE: chance.choice([1e-6, 1e-3])})

    async def verb(values: list[int]) -> list[float]:
        with admission.admit(len(values)):
            return first_column(await batcher(rows(*values)))

    wanted = [[chance.randrange(20) for _ in range(chance.randint(1, 12))] for _ in range(150)]
    tasks = []
    for values in wanted:
        tasks.append(asyncio.create_task(verb(values)))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.2:
            await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    lanes.close()
    for values, result in zip(wanted, results, strict=True):
        if isinstance(result, list):
            assert result == [2 * value for value in values]
        else:
            assert isinstance(result, (asyncio.CancelledError, EngineFailedError))
    assert any(isinstance(result, list) for result in results)
    assert admission.used == 0
    assert batcher.take() is None
