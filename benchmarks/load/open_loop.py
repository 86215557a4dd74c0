"""Latency at a fixed rate of arrivals, at parts of the capacity that was measured just before.

Client and server share the machine's cores, so capacity is what this client gets out of the server
when it is a closed loop. `wrk` takes less for a request and leaves the server more; what it gets is
kept beside it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from benchmarks.load.arrivals import Arrivals
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import LoadError, finished
from benchmarks.measure.comparison import load
from benchmarks.measure.statistics import Spread, spread
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
    """Rate over capacity, which is what the same client gets as a closed loop over 64 connections
    in the same round, in requests/s."""
    rate: Spread
    """Requests/s that were due."""
    p50: Spread
    p99: Spread
    service_time: Spread
    """p50 at one connection in the same round."""
    p99_over_service_time: Spread
    requests: int
    errors: int
    client_cpu: Spread
    """Microseconds of CPU that the client itself took for each request."""
    capacity: Spread | None = None
    """Requests/s; None in results from when it was measured with `wrk`, as is the next."""
    wrk_capacity: Spread | None = None
    """Requests/s that `wrk` gets over as many connections in the same round."""


@dataclass(frozen=True, slots=True)
class _Capacity:
    """What one round found before it sent at fixed rates."""

    service_time: float
    own: float
    wrk: float


@dataclass(frozen=True, slots=True)
class _Seen:
    rate: float
    capacity: _Capacity
    p50: float
    p99: float
    arrivals: Arrivals


def open_loop(
    servers: Sequence[Server],
    workload: Workload,
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None] = lambda text: None,
) -> list[OpenLoop]:
    """Each round takes every server's capacity and service time, then sends at parts of it.

    Raises:
        LoadError: a load generator failed, or a server answered nothing at all.
    """
    asked = [(server, server.system.adapt(workload)) for server in servers]
    found: list[OpenLoop] = []
    for server, adapted in asked:
        if adapted is None:
            continue
        progress(f"{workload.name} at fixed rates, {server.system.name}")
        levels = [_round(server, adapted, seconds) for _ in range(rounds)]
        found.extend(
            _summary(server.system.name, workload.name, part, [level[at] for level in levels])
            for at, part in enumerate(PARTS)
        )
    return found


def arrivals(url: str, workload: Workload, *, rate: float, seconds: float) -> Arrivals:
    """One run of the client at a fixed rate, in a process of its own.

    Raises:
        LoadError: it failed.
    """
    return _client(url, workload, ("--rate", f"{rate:.3f}"), seconds)


def closed_loop(url: str, workload: Workload, *, connections: int, seconds: float) -> Arrivals:
    """One run of the client as a closed loop, in a process of its own.

    Raises:
        LoadError: it failed.
    """
    return _client(url, workload, ("--connections", f"{connections}"), seconds)


def _client(url: str, workload: Workload, pace: Sequence[str], seconds: float) -> Arrivals:
    """The client's run in a process of its own, with these arguments.

    Raises:
        LoadError: it failed.
    """
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
        msg = f"the open-loop client failed: {ended.stderr.strip()[-500:]}"
        raise LoadError(msg)
    return TypeAdapter(Arrivals).validate_json(ended.stdout)


def _round(server: Server, workload: Workload, seconds: float) -> list[_Seen]:
    capacity = _capacity(server, workload, seconds)
    return [_level(server, workload, capacity, part, seconds) for part in PARTS]


def _capacity(server: Server, workload: Workload, seconds: float) -> _Capacity:
    service_time = load(server, workload, 1, 1).p50
    by_wrk = load(server, workload, CAPACITY_CONNECTIONS, seconds).requests_per_second
    own = closed_loop(server.url, workload, connections=CAPACITY_CONNECTIONS, seconds=seconds)
    if not own.answers_per_second or not service_time:
        msg = f"{server.system.name} answered nothing over {CAPACITY_CONNECTIONS} connections"
        raise LoadError(msg)
    return _Capacity(service_time, own.answers_per_second, by_wrk)


def _level(
    server: Server, workload: Workload, capacity: _Capacity, part: float, seconds: float
) -> _Seen:
    rate = capacity.own * part
    seen = arrivals(server.url, workload, rate=rate, seconds=seconds)
    if seen.p50 is None or seen.p99 is None:
        msg = f"{server.system.name} answered none of {rate:.0f} requests/s with 200"
        raise LoadError(msg)
    return _Seen(rate, capacity, seen.p50, seen.p99, seen)


def _summary(system: str, workload: str, part: float, seen: Sequence[_Seen]) -> OpenLoop:
    return OpenLoop(
        system=system,
        workload=workload,
        part=part,
        rate=spread([one.rate for one in seen]),
        p50=spread([one.p50 for one in seen]),
        p99=spread([one.p99 for one in seen]),
        service_time=spread([one.capacity.service_time for one in seen]),
        p99_over_service_time=spread([one.p99 / one.capacity.service_time for one in seen]),
        requests=sum(one.arrivals.requests for one in seen),
        errors=sum(one.arrivals.errors for one in seen),
        client_cpu=spread([one.arrivals.client_cpu for one in seen]),
        capacity=spread([one.capacity.own for one in seen]),
        wrk_capacity=spread([one.capacity.wrk for one in seen]),
    )
