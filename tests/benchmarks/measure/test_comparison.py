"""Contestants take turns, and the first is compared with each of the others, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import NoAnswerError
from benchmarks.measure.comparison import (
    ENGINE,
    Cell,
    Contestant,
    Load,
    Run,
    Unanswered,
    compare,
    in_turn,
)
from benchmarks.measure.statistics import Statistics


@pytest.mark.parametrize(("number", "order"), [(0, "abc"), (1, "cba"), (2, "abc")])
def test_every_other_round_runs_backwards(number: int, order: str) -> None:
    """Odd rounds measure in reverse order, and the results stay in order."""
    measured: list[str] = []

    def measure(item: str) -> str:
        measured.append(item)
        return item.upper()

    assert in_turn("abc", number, measure) == ["A", "B", "C"]
    assert "".join(measured) == order


def contestant(name: str, runs: Iterator[Run | None]) -> Contestant:
    """A contestant with these runs, the first of them for the warm-up."""

    def run(workload: Workload, connections: int, seconds: float) -> Run | None:
        return next(runs)

    return Contestant(name, run, runs_network=name != ENGINE)


def rounds(*figures: tuple[float, float]) -> Iterator[Run]:
    """(requests/s, CPU) of each round, behind a warm-up that must not count."""
    yield Run(1, 1e9, 1e9, p50=1e9, p99=1e9, errors=99)
    for rate, cpu in figures:
        yield Run(10, rate, cpu, p50=1000 / rate, p99=3000 / rate, errors=1)


def test_ratios_are_those_of_pairs() -> None:
    """Ours over another is the median of the rounds' ratios, not the ratio of medians, and what
    the engine takes is subtracted round by round; warming up counts nothing."""
    found = compare(
        [
            contestant("ours", rounds((100, 500), (400, 600), (200, 1000))),
            contestant("theirs", rounds((50, 900), (100, 900), (200, 900))),
            contestant(ENGINE, rounds((1000, 100), (1000, 300), (1000, 200))),
        ],
        [Load(workloads.sample(), 16, rounds=3)],
        seconds=1,
        warm_up=1,
    )
    ours, theirs, engine = found
    assert [one.system for one in found] == ["ours", "theirs", ENGINE]
    assert ours.ours_over is None
    assert theirs.ours_over == Statistics(2, 1, 4, 3)
    assert theirs.our_p50_over == Statistics(0.5, 0.25, 1, 3)
    assert ours.beyond_engine == Statistics(400, 300, 800, 3)
    assert engine.beyond_engine is None
    assert ours.p99_over_p50 == Statistics(3, 3, 3, 3)
    assert (ours.requests, ours.errors) == (30, 3)


def test_a_system_without_the_verb_has_no_cell() -> None:
    """A system without the verb is left out, and the others stand."""
    found = compare(
        [
            contestant("ours", rounds((100, 500))),
            contestant("theirs", iter([None, None])),
        ],
        [Load(workloads.sample(), 1, rounds=1)],
        seconds=1,
        warm_up=1,
    )
    assert [one.system for one in found] == ["ours"]


def slow(name: str, runs: Iterator[Run], at: int) -> Contestant:
    """A contestant that sends no response at this number of connections or more."""

    def run(workload: Workload, connections: int, seconds: float) -> Run:
        if connections >= at:
            raise NoAnswerError
        return next(runs)

    return Contestant(name, run)


def test_a_load_without_a_response_is_reported() -> None:
    """A slow rival is left out of one load, a slow service ends one; the run goes on after both."""
    lost: list[Unanswered] = []
    kept: list[list[str]] = []

    def keep(cells: Sequence[Cell]) -> None:
        kept.append([one.system for one in cells])

    compare(
        [
            slow("ours", rounds((100, 500), (100, 500)), at=3),
            slow("theirs", rounds((100, 500)), at=2),
        ],
        [Load(workloads.sample(), connections, rounds=1) for connections in (1, 2, 3)],
        seconds=2,
        warm_up=1,
        keep=keep,
        lose=lost.append,
    )
    assert kept == [["ours", "theirs"], ["ours"], []]
    assert lost == [
        Unanswered("theirs", "/sample n=1", 2, 2),
        Unanswered("ours", "/sample n=1", 3, 2),
        Unanswered("theirs", "/sample n=1", 3, 2),
    ]
