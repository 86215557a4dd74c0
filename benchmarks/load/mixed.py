"""Small requests beside a large one: do those who ask for one image wait for thousands?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load import wrk
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import Load, LoadError
from benchmarks.measure.statistics import Spread, paired_ratios, spread
from benchmarks.servers.ours import Server

SMALL_CONNECTIONS = 16
_HEAD_START = 0.5


@dataclass(frozen=True, slots=True)
class Mixed:
    """16 clients of a small request, alone and beside one client of a large one.

    Latencies in milliseconds.
    """

    system: str
    small: str
    large: str
    p99_alone: Spread
    p99_beside: Spread
    p99_ratio: Spread
    """Beside over alone, round by round."""
    requests_per_second_alone: Spread
    requests_per_second_beside: Spread
    large_p50: Spread
    """Of the large requests."""
    errors: int


def mixed(
    servers: Sequence[Server],
    small: Workload,
    large: Workload,
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Mixed]:
    """Alone and beside take turns in each round.

    Raises:
        LoadError: the load generator failed, or no large request was answered.
    """
    found = []
    for server in servers:
        adapted = server.system.adapt(small), server.system.adapt(large)
        if adapted[0] is None or adapted[1] is None:
            continue
        progress(f"{small.name} beside {large.name}, {server.system.name}")
        runs = [_round(server.url, adapted[0], adapted[1], seconds) for _ in range(rounds)]
        found.append(_summary(server.system.name, small, large, runs))
    return found


def _round(url: str, small: Workload, large: Workload, seconds: float) -> tuple[Load, Load, Load]:
    alone = wrk.run(url, small, connections=SMALL_CONNECTIONS, seconds=seconds)
    beside, big = _together(url, small, large, seconds)
    return alone, beside, big


def _together(url: str, small: Workload, large: Workload, seconds: float) -> tuple[Load, Load]:
    seen: list[Load] = []
    failed: list[LoadError] = []

    def ask_for_many() -> None:
        try:
            # Longer than the others, so that none of these ever runs alone.
            seen.append(wrk.run(url, large, connections=1, seconds=seconds + 2))
        except LoadError as error:
            failed.append(error)

    thread = threading.Thread(target=ask_for_many)
    thread.start()
    thread.join(_HEAD_START)
    try:
        beside = wrk.run(url, small, connections=SMALL_CONNECTIONS, seconds=seconds)
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return beside, seen[0]


def _summary(
    system: str, small: Workload, large: Workload, runs: Sequence[tuple[Load, Load, Load]]
) -> Mixed:
    alone, beside, big = zip(*runs, strict=True)
    p99_alone, p99_beside = [one.p99 for one in alone], [one.p99 for one in beside]
    return Mixed(
        system=system,
        small=small.name,
        large=large.name,
        p99_alone=spread(p99_alone),
        p99_beside=spread(p99_beside),
        p99_ratio=paired_ratios(p99_beside, p99_alone),
        requests_per_second_alone=spread([one.requests_per_second for one in alone]),
        requests_per_second_beside=spread([one.requests_per_second for one in beside]),
        large_p50=spread([one.p50 for one in big]),
        errors=sum(one.errors for run in runs for one in run),
    )
