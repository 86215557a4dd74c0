"""Is every start as fast as the others?

Connections may fall unevenly on processes or threads, and then a server is slow for as long as they
live, though on another start it is not. So the same server is started many times, and asked each
time over new connections.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load.workloads import Workload
from benchmarks.measure.comparison import load
from benchmarks.servers.ours import System, running


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
        """1 when all are alike; ½ when a start lost half."""
        return min(self.requests_per_second) / statistics.median(self.requests_per_second)


def starts(
    system: System,
    workload: Workload,
    connections: Sequence[int],
    *,
    count: int,
    seconds: float,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Starts]:
    """Starts the system `count` times, each under all numbers of connections in turn.

    Raises:
        LoadError: the load generator failed.
        ServerError: a start failed.
    """
    adapted = system.adapt(workload)
    if adapted is None:
        return []
    progress(f"{count} starts of {system.name}")
    rounds = []
    for _ in range(count):
        with running(system) as server:
            load(server, adapted, max(connections), 1)  # the first second is slower than the next
            rounds.append([load(server, adapted, number, seconds) for number in connections])
    return [
        Starts(
            system=system.name,
            workload=workload.name,
            connections=number,
            requests_per_second=[run.requests_per_second for run in runs],
            errors=sum(run.errors for run in runs),
        )
        for number, runs in zip(connections, zip(*rounds, strict=True), strict=True)
    ]
