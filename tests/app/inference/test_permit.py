"""A permit: nothing before `take`, everything back at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import QueueFullError, ShuttingDownError
from app.inference.admission import Admission, Permit
from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import load
from model.bundle.bundle import open_bundle
from tests.app.loops import in_loop


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
