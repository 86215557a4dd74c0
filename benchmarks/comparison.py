"""Servers under load: every workload at every number of connections, runs interleaved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from benchmarks import wrk
from benchmarks.processes import cpu_seconds
from benchmarks.servers import Server
from benchmarks.spread import Spread, paired_ratios, spread
from benchmarks.workloads import Workload

T = TypeVar("T")
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each run lasts and how often it is repeated; `warm_up` and `seconds` whole."""

    connections: tuple[int, ...]
    rounds: int
    seconds: float
    warm_up: float


@dataclass(frozen=True, slots=True)
class Run:
    """One server under one load."""

    requests_per_second: float
    p50: float
    """Milliseconds, as is `p99`."""
    p99: float
    cpu: float
    """Microseconds of user and system time of the server's processes, for each request."""
    errors: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one workload at one number of connections, over all rounds."""

    system: str
    workload: str
    connections: int
    requests_per_second: Spread
    p50: Spread
    p99: Spread
    cpu: Spread
    errors: int
    ratio: Spread | None
    """Requests/s over those of the last server, pair by pair; None for that server itself."""


def compare(
    servers: Sequence[Server],
    workloads: Sequence[Workload],
    plan: Plan,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Cell]:
    """Loads the servers in turn, A B, B A, A B …; the last is what the others are compared with.

    None always goes first, since what a load leaves behind weighs on the next one.

    Raises:
        wrk.LoadError: the load generator is missing or failed.
    """
    cells: list[Cell] = []
    for workload in workloads:
        for connections in plan.connections:
            progress(f"{workload.name} at {connections} connections")
            for server in servers:
                load(server, workload, connections, plan.warm_up)
            measure = partial(
                load, workload=workload, connections=connections, seconds=plan.seconds
            )
            rounds = [in_turn(servers, number, measure) for number in range(plan.rounds)]
            cells.extend(_cells(servers, workload, connections, rounds))
    return cells


def in_turn(items: Sequence[T], number: int, measure: Callable[[T], M]) -> list[M]:
    """Measures in order, or backwards in rounds of odd number; the answers are in order."""
    order = range(len(items))
    found = {at: measure(items[at]) for at in (reversed(order) if number % 2 else order)}
    return [found[at] for at in order]


def load(server: Server, workload: Workload, connections: int, seconds: float) -> Run:
    """One run of the load generator against one server."""
    before = cpu_seconds(server.pid)
    seen = wrk.run(server.url, workload, connections=connections, seconds=seconds)
    used = cpu_seconds(server.pid) - before
    return Run(
        seen.requests_per_second, seen.p50, seen.p99, used / seen.requests * 1e6, seen.errors
    )


def _cells(
    servers: Sequence[Server], workload: Workload, connections: int, rounds: list[list[Run]]
) -> Iterator[Cell]:
    by_server = list(zip(*rounds, strict=True))
    baseline = [run.requests_per_second for run in by_server[-1]]
    for server, runs in zip(servers, by_server, strict=True):
        rates = [run.requests_per_second for run in runs]
        yield Cell(
            system=server.system.name,
            workload=workload.name,
            connections=connections,
            requests_per_second=spread(rates),
            p50=spread([run.p50 for run in runs]),
            p99=spread([run.p99 for run in runs]),
            cpu=spread([run.cpu for run in runs]),
            errors=sum(run.errors for run in runs),
            ratio=None if server is servers[-1] else paired_ratios(rates, baseline),
        )
