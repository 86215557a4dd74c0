"""The targets of the service, and whether a run met them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measure.comparison import ENGINE, Cell
from benchmarks.measure.statistics import Statistics
from benchmarks.report.result import BundleResult, Result
from benchmarks.servers import fastapi_floor
from benchmarks.servers.ours import NAIVE, OURS, TUNED

_NO_PEERS = (OURS, NAIVE, TUNED, "torch", fastapi_floor.NAME, ENGINE)

_MB = 1e6
_MOST = "≤"
_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and the values whose median is compared with it."""

    bundle: str
    what: str
    sign: str
    """`≤` or `≥`."""
    limit: float
    aim: float | None
    unit: str
    measured: Statistics

    @property
    def met(self) -> bool:
        """Whether the median is within the limit, or equal to it."""
        return self._keeps(self.limit)

    @property
    def aim_met(self) -> bool:
        """Whether the median is within the aim too; false without an aim."""
        return self.aim is not None and self._keeps(self.aim)

    def _keeps(self, limit: float) -> bool:
        value = self.measured.median
        return value <= limit if self.sign == _MOST else value >= limit


def verdicts(result: Result) -> list[Verdict]:
    """The verdict on each target for which the run has measured values."""
    found: list[Verdict] = []
    for name, figures in result.bundles.items():
        own = {"heavy": _heavy, "small": _small}.get(name)
        targets = _Targets(name, figures)
        found.extend(own(targets) if own else ())
        found.extend(_both(targets))
    return found


@dataclass(frozen=True, slots=True)
class _Targets:
    """One bundle's measured values, and the verdicts on them."""

    bundle: str
    figures: BundleResult

    def cells(self, workload: str, connections: int) -> dict[str, Cell]:
        return {
            one.system: one
            for one in self.figures.cells
            if (one.workload, one.connections) == (workload, connections)
        }

    def verdict(
        self,
        what: str,
        sign: str,
        limit: float,
        measured: Statistics | None,
        *,
        unit: str = "",
        aim: float | None = None,
    ) -> Iterator[Verdict]:
        if measured is not None:
            yield Verdict(self.bundle, what, sign, limit, aim, unit, measured)

    def beyond(self, workload: str, limit: float, aim: float) -> Iterator[Verdict]:
        cell = self.cells(workload, 16).get(OURS)
        what = f"CPU beyond the engine's, {workload}, 16 connections"
        measured = cell.beyond_engine if cell else None
        yield from self.verdict(what, _MOST, limit, measured, unit="µs", aim=aim)

    def over(
        self, workload: str, connections: int, other: str, limit: float, aim: float | None = None
    ) -> Iterator[Verdict]:
        cell = self.cells(workload, connections).get(other)
        what = f"requests/s over {other}, {workload}, {_connections(connections)}"
        measured = cell.ours_over if cell else None
        yield from self.verdict(what, _LEAST, limit, measured, unit="×", aim=aim)

    def over_peers(
        self, workload: str, connections: int, limit: float, aim: float, ray: float
    ) -> Iterator[Verdict]:
        for name in self.cells(workload, connections):
            if not name.startswith(_NO_PEERS):
                limits = (ray,) if "ray" in name.lower() else (limit, aim)
                yield from self.over(workload, connections, name, *limits)


def _heavy(on: _Targets) -> Iterator[Verdict]:
    yield from on.beyond("/sample n=1", 400, 250)
    yield from on.beyond("/reconstruct", 600, 400)
    yield from on.beyond("/reconstruct multipart", 900, 600)
    yield from on.over("/sample n=1", 64, TUNED, 2)
    yield from on.over("/sample n=1", 64, NAIVE, 4)
    yield from on.over_peers("/sample n=1", 64, 2.5, 3, ray=10)
    yield from on.over("/reconstruct", 64, TUNED, 1.8)
    yield from on.over("/reconstruct", 64, NAIVE, 3.5)
    yield from on.over_peers("/reconstruct", 64, 2, 2.5, ray=2)
    for workload in ("/sample n=64", "/sample n=1024"):
        yield from on.over(workload, 4, ENGINE, 0.9)
    cell = on.cells("/sample n=1", 64).get(OURS)
    tail = cell.p99_over_p50 if cell else None
    yield from on.verdict("p99 over p50, /sample n=1, 64 connections", _MOST, 2.2, tail, unit="×")
    for one in on.figures.starts:
        what = f"slowest of {len(one.requests_per_second)} starts over their median, {one.system}"
        what += f", {_connections(one.connections)}"
        yield from on.verdict(what, _LEAST, 0.6, Statistics.of([one.lowest_over_median]), unit="×")


def _small(on: _Targets) -> Iterator[Verdict]:
    yield from on.over("/sample n=1", 16, fastapi_floor.NAME, 0.45, 0.6)
    yield from on.over("/sample n=1", 16, TUNED, 2.5)
    cells = on.cells("/sample n=1", 1)
    ours, tuned = cells.get(OURS), cells.get(TUNED)
    if ours and tuned and tuned.our_p50_over:
        what = "p50 over the tuned naive server's, /sample n=1, 1 connection"
        yield from on.verdict(what, _MOST, 1.2, tuned.our_p50_over, unit="×")


def _both(on: _Targets) -> Iterator[Verdict]:
    for one in on.figures.footprints:
        if one.system == OURS:
            first = one.seconds_to_first_answer
            yield from on.verdict("exec to first answer", _MOST, 1.5, first, unit="s")
            yield from on.verdict("PSS at rest", _MOST, 220, one.pss.scaled(1 / _MB), unit="MB")
            yield from on.verdict("idle CPU", _MOST, 1, one.idle_cpu, unit="%")
    if OURS in on.figures.loaded_pss:
        loaded = Statistics.of([on.figures.loaded_pss[OURS] / _MB])
        yield from on.verdict("PSS after all loads", _MOST, 220, loaded, unit="MB")
    for mixed in on.figures.mixed:
        if mixed.system == OURS:
            what = f"p99 of {mixed.small} beside {mixed.large}, over alone"
            yield from on.verdict(what, _MOST, 3, mixed.p99_ratio, unit="×")
    for level in on.figures.open_loops:
        if level.system == OURS and level.part == max(one.part for one in on.figures.open_loops):
            part = f"{level.part:.0%} of capacity"
            what = f"p99 over service time, {level.workload}, {part}, open loop"
            yield from on.verdict(what, _MOST, 10, level.p99_over_service_time, unit="×")
            errors = Statistics.of([level.errors])
            yield from on.verdict(f"errors at {part}", _MOST, 0, errors)


def _connections(number: int) -> str:
    return f"{number} connection" + "s" * (number > 1)
