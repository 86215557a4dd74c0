"""Admission: whole or not at all, and given back whatever happens."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import QueueFullError, RequestTooLargeError, ShuttingDownError
from app.inference.admission import Admission, Permit
from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import load
from model.bundle.bundle import open_bundle
from tests.app.loops import in_loop


def test_a_full_queue_refuses_at_once_and_admits_nothing_of_it() -> None:
    """What does not fit now is refused whole, with the seconds after which to try again."""
    admission = Admission(10)
    with admission.admit(7):
        with pytest.raises(QueueFullError) as refused, admission.admit(4):
            pass
        assert refused.value.retry_after == 1
        assert admission.used == 7
        with admission.admit(3):
            assert admission.used == 10
    assert admission.used == 0


def test_a_cost_above_the_capacity_is_another_error() -> None:
    """What can never fit is told to be split, not to be sent again."""
    admission = Admission(10)
    with pytest.raises(RequestTooLargeError) as refused, admission.admit(11):
        pass
    assert refused.value.limit == 10
    assert refused.value.retry_after is None


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=20))
def test_every_permit_comes_back(costs: list[tuple[int, bool]]) -> None:
    """However verbs end, by return, error or refusal, nothing stays taken."""
    admission = Admission(20)

    def nested(rest: list[tuple[int, bool]]) -> None:
        assert 0 <= admission.used <= admission.capacity
        if not rest:
            return
        cost, fails = rest[0]
        with admission.admit(cost):
            nested(rest[1:])
            if fails:
                raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError, QueueFullError):
        nested(costs)
    assert admission.used == 0


def engine_of(repository: Path) -> Engine:
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    return Engine(loaded, Lanes(1), lambda program: lambda report: None)


def _take_and_fail(permit: Permit, engine: Engine) -> None:
    permit.take(engine, 7)
    raise ZeroDivisionError


@in_loop
async def test_everything_comes_back_at_the_end(repository: Path) -> None:
    """An error inside, a refusal or nothing at all: the place and the engine are free again."""
    admission, engine = Admission(10), engine_of(repository)
    with Permit(admission):
        assert admission.used == 0
    with Permit(admission) as permit:
        permit.take(engine, 7)
        with pytest.raises(QueueFullError), Permit(admission) as refused:
            refused.take(engine, 4)
        assert admission.used == 7
    with pytest.raises(ZeroDivisionError), Permit(admission) as permit:
        _take_and_fail(permit, engine)
    assert admission.used == 0
    await engine.close()


@in_loop
async def test_a_closing_engine_is_not_taken(repository: Path) -> None:
    """Who comes while the engine closes is refused, and keeps no place in the queue."""
    admission, engine = Admission(10), engine_of(repository)
    await engine.close()
    with pytest.raises(ShuttingDownError), Permit(admission) as permit:
        permit.take(engine, 7)
    assert admission.used == 0
