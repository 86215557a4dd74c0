"""A caller's rows: chunks in any order make one answer, and an answer is final."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import EngineFailedError
from app.inference.batch import Caller, Outcome, Timing
from tests.app.loops import in_loop


def call(n: int) -> Caller:
    rows = np.zeros((n, 1), np.float32)
    return Caller(rows, asyncio.get_running_loop().create_future(), queued_at=0.0)


@given(st.data())
def test_chunks_in_any_order_make_one_answer(data: st.DataObject) -> None:
    """Chunks that two lanes finish in any order come out in the order of the rows."""
    cuts = sorted(data.draw(st.sets(st.integers(1, 9), max_size=5)))
    chunks = list(zip([0, *cuts], [*cuts, 10], strict=True))
    order = data.draw(st.permutations(chunks))

    async def scenario() -> list[list[float]]:
        subject = call(10)
        for start, stop in order:
            assert not subject.future.done()
            chunk = np.arange(start, stop, dtype=np.float32)[:, None]
            subject.deliver(start, stop, (chunk, -chunk), 0.5)
        answer = await subject.future
        assert answer.run_seconds == 0.5 * len(chunks)
        return [output[:, 0].tolist() for output in answer.outputs]

    expected = list(range(10))
    assert asyncio.run(scenario()) == [expected, [-value for value in expected]]


@in_loop
async def test_an_outcome_is_final() -> None:
    """What comes after a failure, an answer or a caller who left changes nothing."""
    chunk = (np.ones((1, 1), np.float32),)
    failed, answered, left = call(1), call(1), call(1)
    failed.fail(RuntimeError("first"))
    answered.deliver(0, 1, chunk, 0.1)
    left.future.cancel()
    for subject in (failed, answered, left):
        subject.deliver(0, 1, chunk, 0.1)
        subject.fail(RuntimeError("second"))
    with pytest.raises(EngineFailedError) as error:
        await failed.future
    assert str(error.value.__cause__) == "first"
    assert (await answered.future).run_seconds == 0.1
    assert left.future.cancelled()


@in_loop
async def test_a_chunk_with_another_number_of_outputs_fails_the_call() -> None:
    """Chunks must agree in how many arrays they have."""
    subject, one = call(2), np.ones((1, 1), np.float32)
    subject.deliver(0, 1, (one, one), 0.1)
    subject.deliver(1, 2, (one,), 0.1)
    with pytest.raises(EngineFailedError):
        await subject.future


def test_adds_up_the_stages_and_hands_answers_on() -> None:
    """Waiting and running are summed over a verb's stages."""
    timing = Timing()
    first = Outcome((), queue_seconds=0.5, run_seconds=0.25)
    assert timing.add(first) is first
    timing.add(Outcome((), queue_seconds=1.0, run_seconds=0.5))
    assert (timing.queue, timing.run) == (1.5, 0.75)
