"""Latency at fixed arrival rates, which are parts of the capacity that was measured just before.

Client and server share the machine's cores, so capacity is the throughput that this client reaches
as a closed loop. `wrk` costs less for a request and leaves the server more; its throughput is
recorded too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from benchmarks.load.arrivals import Arrivals
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import LoadError, finished
from benchmarks.measure.comparison import load
from benchmarks.measure.statistics import Statistics
from benchmarks.servers.ours import Server

PARTS = (0.3, 0.6, 0.9)
CAPACITY_CONNECTIONS = 64
_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """One server at one part of its capacity, over all rounds; latencies in milliseconds."""

    system: str
    workload: str
    part: float
    """Rate over capacity. Capacity is what the same client reaches as a closed loop over 64
    connections in the same round, in requests/s."""
    rate: Statistics
    """Requests/s that were due."""
    p50: Statistics
    p99: Statistics
    service_time: Statistics
    """p50 at one connection in the same round."""
    p99_over_service_time: Statistics
    requests: int
    errors: int
    client_cpu: Statistics
    """Microseconds of the client's own CPU for each request."""
    capacity: Statistics | None = None
    """Requests/s; None in results from when it was measured with `wrk`, as is the next."""
    wrk_capacity: Statistics | None = None
    """Requests/s that `wrk` reaches over as many connections in the same round."""


@dataclass(frozen=True, slots=True)
class _Level:
    """One server at one part of its capacity, in one round."""

    rate: float
    service_time: float
    capacity: float
    wrk_capacity: float
    p50: float
    p99: float
    arrivals: Arrivals


def open_loop(server: Server, workload: Workload, *, rounds: int, seconds: float) -> list[OpenLoop]:
    """Measures the server's capacity and service time in each round, then sends at parts of it.

    Raises:
        LoadError: a load generator failed, or the server sent no response at all.
    """
    levels = zip(*(_round(server, workload, seconds) for _ in range(rounds)), strict=True)
    return [
        _summary(server.system.name, workload.name, part, seen)
        for part, seen in zip(PARTS, levels, strict=True)
    ]


def arrivals(url: str, workload: Workload, *, rate: float, seconds: float) -> Arrivals:
    """Runs the client at a fixed rate, in a separate process.

    Raises:
        LoadError: it failed.
    """
    return _client(url, workload, ("--rate", f"{rate:.3f}"), seconds)


def closed_loop(url: str, workload: Workload, *, connections: int, seconds: float) -> Arrivals:
    """Runs the client as a closed loop, in a separate process.

    Raises:
        LoadError: it failed.
    """
    return _client(url, workload, ("--connections", f"{connections}"), seconds)


def _client(url: str, workload: Workload, pace: Sequence[str], seconds: float) -> Arrivals:
    with tempfile.NamedTemporaryFile(suffix=".body") as body:
        body.write(workload.body)
        body.flush()
        command = [
            *(sys.executable, "-m", "benchmarks.load.arrivals", url + workload.path),
            *(*pace, "--seconds", f"{seconds:g}"),
            *("--method", workload.method, "--body", body.name),
        ]
        for name, value in workload.headers.items():
            command += ["--header", f"{name}: {value}"]
        ended = finished("the open-loop client", command, seconds + _GRACE_SECONDS)
    if ended.returncode:
        raise LoadError(f"the open-loop client failed: {ended.stderr.strip()[-500:]}")
    return TypeAdapter(Arrivals).validate_json(ended.stdout)


def _round(server: Server, workload: Workload, seconds: float) -> list[_Level]:
    name = server.system.name
    service_time = load(server, workload, 1, 1).p50
    by_wrk = load(server, workload, CAPACITY_CONNECTIONS, seconds).requests_per_second
    own = closed_loop(server.url, workload, connections=CAPACITY_CONNECTIONS, seconds=seconds)
    capacity = own.answers_per_second
    if not capacity or not service_time:
        raise LoadError(f"{name} sent no response over {CAPACITY_CONNECTIONS} connections")
    levels = []
    for part in PARTS:
        rate = capacity * part
        seen = arrivals(server.url, workload, rate=rate, seconds=seconds)
        if seen.p50 is None or seen.p99 is None:
            raise LoadError(f"{name} sent no response with status 200 at {rate:.0f} requests/s")
        levels.append(_Level(rate, service_time, capacity, by_wrk, seen.p50, seen.p99, seen))
    return levels


def _summary(system: str, workload: str, part: float, seen: Sequence[_Level]) -> OpenLoop:
    return OpenLoop(
        system=system,
        workload=workload,
        part=part,
        rate=Statistics.of([one.rate for one in seen]),
        p50=Statistics.of([one.p50 for one in seen]),
        p99=Statistics.of([one.p99 for one in seen]),
        service_time=Statistics.of([one.service_time for one in seen]),
        p99_over_service_time=Statistics.of([one.p99 / one.service_time for one in seen]),
        requests=sum(one.arrivals.requests for one in seen),
        errors=sum(one.arrivals.errors for one in seen),
        client_cpu=Statistics.of([one.arrivals.client_cpu for one in seen]),
        capacity=Statistics.of([one.capacity for one in seen]),
        wrk_capacity=Statistics.of([one.wrk_capacity for one in seen]),
    )
