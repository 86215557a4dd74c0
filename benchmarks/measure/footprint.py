"""What a server costs before anyone asks: time to start, memory, and CPU while idle."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.load.workloads import Workload
from benchmarks.measure.processes import Memory, cpu_seconds, memory
from benchmarks.measure.statistics import Spread, spread
from benchmarks.servers.ours import Server, System, running


@dataclass(frozen=True, slots=True)
class Footprint:
    """One server, each figure over several starts."""

    system: str
    seconds_to_ready: Spread
    seconds_to_first_answer: Spread
    idle_cpu: Spread
    """Percent of one core."""
    pss: Spread
    """Bytes after the first answer, alone on the machine as far as this bench goes."""
    rss: Spread


@dataclass(frozen=True, slots=True)
class Start:
    """One start of one server."""

    seconds_to_ready: float
    seconds_to_first_answer: float
    idle_cpu: float
    memory: Memory


def footprint(system: System, workload: Workload, *, starts: int, idle: float) -> Footprint:
    """Starts the server `starts` times, asks once, and watches it for `idle` seconds.

    Raises:
        ServerError: it does not start, or does not answer 200.
    """
    seen = [start(system, workload, idle) for _ in range(starts)]
    return Footprint(
        system=system.name,
        seconds_to_ready=spread([one.seconds_to_ready for one in seen]),
        seconds_to_first_answer=spread([one.seconds_to_first_answer for one in seen]),
        idle_cpu=spread([one.idle_cpu for one in seen]),
        pss=spread([one.memory.pss for one in seen]),
        rss=spread([one.memory.rss for one in seen]),
    )


def start(system: System, workload: Workload, idle: float) -> Start:
    """One start."""
    with running(system) as server:
        asked = time.perf_counter()
        server.ask(workload)
        first_answer = server.seconds_to_ready + time.perf_counter() - asked
        return Start(
            server.seconds_to_ready, first_answer, _idle_cpu(server, idle), memory(server.pid)
        )


def _idle_cpu(server: Server, seconds: float) -> float:
    before, started = cpu_seconds(server.pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu_seconds(server.pid) - before) / (time.perf_counter() - started) * 100
