"""Repeated starts of one server: start time, memory, idle CPU, and whether all are equally fast.

Connections may fall unevenly on processes or threads. The server is then slow as long as they
live, though another start is not, so throughput is measured over new connections in each start.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load.workloads import Workload
from benchmarks.measure.comparison import load
from benchmarks.measure.processes import cpu_seconds, memory
from benchmarks.measure.statistics import Statistics
from benchmarks.servers.ours import Server, System, running


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server costs at rest, over several starts."""

    system: str
    seconds_to_ready: Statistics
    seconds_to_first_answer: Statistics
    idle_cpu: Statistics
    """Percent of one core."""
    pss: Statistics
    """Bytes after the first response, without other servers of this bench."""
    rss: Statistics


@dataclass(frozen=True, slots=True)
class Starts:
    """Requests/s of each start, in order, at one number of connections."""

    system: str
    workload: str
    connections: int
    requests_per_second: list[float]
    errors: int

    @property
    def lowest_over_median(self) -> float:
        """1 if all starts are equally fast; 0.5 if one start is half as fast as the median."""
        return min(self.requests_per_second) / statistics.median(self.requests_per_second)


def footprint(system: System, workload: Workload, *, starts: int, idle: float) -> Footprint:
    """Starts the server `starts` times, sends one request, and watches it for `idle` seconds.

    Raises:
        ServerError: the server does not start, or its status is not 200.
    """
    members = zip(*(_at_rest(system, workload, idle) for _ in range(starts)), strict=True)
    return Footprint(system.name, *(Statistics.of(values) for values in members))


def _at_rest(system: System, workload: Workload, idle: float) -> tuple[float, ...]:
    """The members of a footprint from one start."""
    with running(system) as server:
        started = time.perf_counter()
        server.ask(workload)
        first_answer = server.seconds_to_ready + time.perf_counter() - started
        idle_cpu, resident = _idle_cpu(server, idle), memory(server.pid)
        return server.seconds_to_ready, first_answer, idle_cpu, resident.pss, resident.rss


def _idle_cpu(server: Server, seconds: float) -> float:
    before, started = cpu_seconds(server.pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu_seconds(server.pid) - before) / (time.perf_counter() - started) * 100


def starts(
    system: System, workload: Workload, connections: Sequence[int], *, count: int, seconds: float
) -> list[Starts]:
    """Starts the system `count` times and loads it with each number of connections in turn.

    Raises:
        LoadError: the load generator failed.
        ServerError: a start failed.
    """
    rounds = []
    for _ in range(count):
        with running(system) as server:
            load(server, workload, max(connections), 1)  # the first second is slower than the rest
            rounds.append([load(server, workload, number, seconds) for number in connections])
    found = []
    for number, runs in zip(connections, zip(*rounds, strict=True), strict=True):
        rates, errors = [run.requests_per_second for run in runs], sum(run.errors for run in runs)
        found.append(Starts(system.name, workload.name, number, rates, errors))
    return found
