"""Contestants take turns, and the first is compared with each of the others, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import workloads
from benchmarks.comparison import ENGINE, Contestant, Load, Run, compare, in_turn
from benchmarks.spread import Spread
from benchmarks.workloads import Workload


@pytest.mark.parametrize(("number", "order"), [(0, "abc"), (1, "cba"), (2, "abc")])
def test_every_other_round_runs_backwards(number: int, order: str) -> None:
    """Odd rounds measure the last first, and answers stay with whom they belong to."""
    measured: list[str] = []

    def measure(item: str) -> str:
        measured.append(item)
        return item.upper()

    assert in_turn("abc", number, measure) == ["A", "B", "C"]
    assert "".join(measured) == order


def contestant(name: str, runs: Iterator[Run | None]) -> Contestant:
    """Measures what it is told, once for warming up and then in each round."""

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
    assert theirs.ours_over == Spread(2, 1, 4, 3)
    assert theirs.our_p50_over == Spread(0.5, 0.25, 1, 3)
    assert ours.beyond_engine == Spread(400, 300, 800, 3)
    assert engine.beyond_engine is None
    assert ours.p99_over_p50 == Spread(3, 3, 3, 3)
    assert (ours.requests, ours.errors) == (30, 3)


def test_who_can_t_be_asked_has_no_figures() -> None:
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
