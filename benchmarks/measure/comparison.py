"""Contestants under load: every workload at every number of connections, runs interleaved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.load import wrk
from benchmarks.load.workloads import Workload
from benchmarks.measure.engine_alone import Engine
from benchmarks.measure.processes import cpu_seconds
from benchmarks.measure.statistics import Statistics, paired_differences, paired_ratios
from benchmarks.servers.ours import Server

T = TypeVar("T")
M = TypeVar("M")

ENGINE = "onnxruntime alone"
_ENGINE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """A workload at a number of connections; each contestant is measured `rounds` times."""

    workload: Workload
    connections: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant under one load; `requests` are those that were counted."""

    requests: int
    requests_per_second: float
    cpu: float
    """Microseconds of user and system time of the contestant's processes, for each request."""
    p50: float | None = None
    """Milliseconds, as is `p99`; None for the engine alone, which has no clients."""
    p99: float | None = None
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is measured: a running server, or the network without one."""

    name: str
    run: Callable[[Workload, int, float], Run | None]
    """(workload, connections, seconds) → the run; None if the contestant lacks the workload."""
    runs_network: bool = True
    """Whether the network's own cost is a part of its cost, which can be subtracted."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One contestant under one load, over all rounds."""

    system: str
    workload: str
    images: int
    """Images in each request or response."""
    connections: int
    requests: int
    requests_per_second: Statistics
    cpu: Statistics
    beyond_engine: Statistics | None
    """CPU of a request minus that of the engine alone, round by round."""
    p50: Statistics | None
    p99: Statistics | None
    p99_over_p50: Statistics | None
    errors: int
    ours_over: Statistics | None
    """The first contestant's requests/s over this one's, round by round; None for the first."""
    our_p50_over: Statistics | None
    """The same ratio of p50."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A load that could not be measured: a contestant sent no response, or too few, in time.

    If it is the first contestant, no contestant is measured under this load.
    """

    system: str
    workload: str
    connections: int
    seconds: float


def server_contestant(server: Server, *, runs_network: bool = True) -> Contestant:
    """A running server, under the load generator.

    Its `run` raises NoAnswerError if the server is too slow, and LoadError if it has ended.
    """

    def run(workload: Workload, connections: int, seconds: float) -> Run | None:
        adapted = server.system.adapt(workload)
        return None if adapted is None else load(server, adapted, connections, seconds)

    return Contestant(server.system.name, run, runs_network)


def engine_contestant(engine: Engine, best_batch: int) -> Contestant:
    """The network alone: row by row for single images, else at its best batch size."""

    def run(workload: Workload, connections: int, seconds: float) -> Run:
        batch = 1 if workload.n == 1 else best_batch
        rate, cpu = engine.measure(workload.verb, batch, min(seconds, _ENGINE_SECONDS))
        return Run(0, rate / workload.n, cpu * workload.n)

    return Contestant(ENGINE, run, runs_network=False)


def compare(
    contestants: Sequence[Contestant],
    loads: Sequence[Load],
    *,
    seconds: float,
    warm_up: float,
    progress: Callable[[str], None] = lambda text: None,
    keep: Callable[[Sequence[Cell]], None] = lambda cells: None,
    lose: Callable[[Unanswered], None] = lambda unanswered: None,
) -> list[Cell]:
    """Measures the contestants in turn, A B C, C B A, A B C …; compares the first with each.

    The order alternates because a load leaves a machine in a state that affects the next one.
    Before the first load of a workload each contestant gets `warm_up` seconds of it. After each
    load `lose` is called with each contestant that sent no response in one of the rounds, then
    `keep` with the cells. A missing response does not end the comparison, because thousands of
    images may take longer than `seconds`.

    Raises:
        wrk.LoadError: the load generator is missing or failed.
    """
    cells: list[Cell] = []
    warm: set[str] = set()
    for one in loads:
        progress(f"{one.workload.name} at {one.connections} connections")
        if one.workload.name not in warm:
            warm.add(one.workload.name)
            for contestant in contestants:
                with contextlib.suppress(wrk.NoAnswerError):
                    contestant.run(one.workload, one.connections, warm_up)

        measured, unanswered = _measured(contestants, one, seconds)
        for slow in unanswered:
            progress(f"not measured: {slow.system} sent no response in {seconds:g} s")
            lose(slow)
        keep(measured)
        cells.extend(measured)
    return cells


def _measured(
    contestants: Sequence[Contestant], one: Load, seconds: float
) -> tuple[list[Cell], list[Unanswered]]:
    slow: dict[str, Unanswered] = {}

    def measure(contestant: Contestant) -> Run | None:
        try:
            return contestant.run(one.workload, one.connections, seconds)
        except wrk.NoAnswerError:
            lost = Unanswered(contestant.name, one.workload.name, one.connections, seconds)
            slow[contestant.name] = lost
            return None

    rounds = [in_turn(contestants, number, measure) for number in range(one.rounds)]
    return list(_cells(contestants, one, rounds)), list(slow.values())


def in_turn(items: Sequence[T], number: int, measure: Callable[[T], M]) -> list[M]:
    """Measures in order, or backwards if the round's number is odd; the results are in order."""
    order = range(len(items))
    found = {at: measure(items[at]) for at in (reversed(order) if number % 2 else order)}
    return [found[at] for at in order]


def load(server: Server, workload: Workload, connections: int, seconds: float) -> Run:
    """Runs the load generator once against a server, with the workload as it is."""
    before = cpu_seconds(server.pid)
    seen = wrk.run(server.url, workload, connections=connections, seconds=seconds)
    used = cpu_seconds(server.pid) - before
    cpu = used / seen.requests * 1e6
    return Run(seen.requests, seen.requests_per_second, cpu, seen.p50, seen.p99, seen.errors)


def _cells(
    contestants: Sequence[Contestant], one: Load, rounds: list[list[Run | None]]
) -> Iterator[Cell]:
    complete = {
        contestant.name: [run for run in runs if run is not None] if None not in runs else []
        for contestant, runs in zip(contestants, zip(*rounds, strict=True), strict=True)
    }
    ours = complete[contestants[0].name]
    if not ours:
        return
    for contestant in contestants:
        if runs := complete[contestant.name]:
            engine = complete.get(ENGINE) if contestant.runs_network else None
            yield _cell(contestant.name, one, runs, engine, None if runs is ours else ours)


def _cell(
    name: str,
    one: Load,
    runs: Sequence[Run],
    engine: Sequence[Run] | None,
    ours: Sequence[Run] | None,
) -> Cell:
    p50, p99 = _known(run.p50 for run in runs), _known(run.p99 for run in runs)
    cpu = [run.cpu for run in runs]
    rates = [run.requests_per_second for run in runs]
    our_p50 = _known(run.p50 for run in ours or ())
    return Cell(
        system=name,
        workload=one.workload.name,
        images=one.workload.n,
        connections=one.connections,
        requests=sum(run.requests for run in runs),
        requests_per_second=Statistics.of(rates),
        cpu=Statistics.of(cpu),
        beyond_engine=paired_differences(cpu, [run.cpu for run in engine]) if engine else None,
        p50=Statistics.of(p50) if p50 else None,
        p99=Statistics.of(p99) if p99 else None,
        p99_over_p50=paired_ratios(p99, p50) if p50 else None,
        errors=sum(run.errors for run in runs),
        ours_over=paired_ratios([run.requests_per_second for run in ours], rates) if ours else None,
        our_p50_over=paired_ratios(our_p50, p50) if p50 and our_p50 else None,
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
