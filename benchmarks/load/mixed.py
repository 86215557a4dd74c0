"""Small requests beside a large one: whether a caller of one image waits for thousands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.load import wrk
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import Load
from benchmarks.measure.statistics import Statistics, paired_ratios
from benchmarks.servers.ours import Server

SMALL_CONNECTIONS = 16
_HEAD_START = 0.5


@dataclass(frozen=True, slots=True)
class Mixed:
    """16 clients of a small request, alone and beside one client of a large one.

    Latencies are in milliseconds.
    """

    system: str
    small: str
    large: str
    p99_alone: Statistics
    p99_beside: Statistics
    p99_ratio: Statistics
    """Beside over alone, round by round."""
    requests_per_second_alone: Statistics
    requests_per_second_beside: Statistics
    large_p50: Statistics
    """Of the large requests."""
    errors: int


def mixed(
    server: Server, small: Workload, large: Workload, *, rounds: int, seconds: float
) -> Mixed:
    """Measures the small requests alone, then beside the large one, in each round.

    Raises:
        LoadError: the load generator failed, or no large request got a response.
    """
    runs = [_round(server.url, small, large, seconds) for _ in range(rounds)]
    return _summary(server.system.name, small, large, runs)


def _round(url: str, small: Workload, large: Workload, seconds: float) -> tuple[Load, Load, Load]:
    alone = wrk.run(url, small, connections=SMALL_CONNECTIONS, seconds=seconds)
    with ThreadPoolExecutor(1) as pool:
        # The large requests start earlier and last longer, so the small ones never run alone.
        big = pool.submit(wrk.run, url, large, connections=1, seconds=seconds + 2)
        time.sleep(_HEAD_START)
        beside = wrk.run(url, small, connections=SMALL_CONNECTIONS, seconds=seconds)
        return alone, beside, big.result()


def _summary(
    system: str, small: Workload, large: Workload, runs: Sequence[tuple[Load, Load, Load]]
) -> Mixed:
    alone, beside, big = zip(*runs, strict=True)
    p99_alone, p99_beside = [one.p99 for one in alone], [one.p99 for one in beside]
    return Mixed(
        system=system,
        small=small.name,
        large=large.name,
        p99_alone=Statistics.of(p99_alone),
        p99_beside=Statistics.of(p99_beside),
        p99_ratio=paired_ratios(p99_beside, p99_alone),
        requests_per_second_alone=Statistics.of([one.requests_per_second for one in alone]),
        requests_per_second_beside=Statistics.of([one.requests_per_second for one in beside]),
        large_p50=Statistics.of([one.p50 for one in big]),
        errors=sum(one.errors for run in runs for one in run),
    )
