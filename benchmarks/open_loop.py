"""Latency at a fixed rate of arrivals, at parts of the capacity that was measured just before."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from benchmarks.arrivals import Arrivals
from benchmarks.comparison import load
from benchmarks.servers import Server
from benchmarks.spread import Spread, spread
from benchmarks.workloads import Workload
from benchmarks.wrk import LoadError

PARTS = (0.3, 0.6, 0.9)
CAPACITY_CONNECTIONS = 64
_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """One server at one part of its capacity, over all rounds; latencies in milliseconds."""

    system: str
    workload: str
    part: float
    """Rate over capacity, which is its requests/s at 64 connections in the same round."""
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


@dataclass(frozen=True, slots=True)
class _Seen:
    rate: float
    service_time: float
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
    """One run of the client in a process of its own.

    Raises:
        LoadError: it failed.
    """
    with tempfile.NamedTemporaryFile(suffix=".body") as body:
        body.write(workload.body)
        body.flush()
        command = [
            *(sys.executable, "-m", "benchmarks.arrivals", url + workload.path),
            *("--rate", f"{rate:.3f}", "--seconds", f"{seconds:g}"),
            *("--method", workload.method, "--body", body.name),
        ]
        for name, value in workload.headers.items():
            command += ["--header", f"{name}: {value}"]
        finished = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + _GRACE_SECONDS
        )
    if finished.returncode:
        msg = f"the open-loop client failed: {finished.stderr.strip()[-500:]}"
        raise LoadError(msg)
    return TypeAdapter(Arrivals).validate_json(finished.stdout)


def _round(server: Server, workload: Workload, seconds: float) -> list[_Seen]:
    service_time = load(server, workload, 1, 1).p50
    capacity = load(server, workload, CAPACITY_CONNECTIONS, seconds).requests_per_second
    return [
        _level(server, workload, capacity * part, service_time or 0.0, seconds) for part in PARTS
    ]


def _level(
    server: Server, workload: Workload, rate: float, service_time: float, seconds: float
) -> _Seen:
    seen = arrivals(server.url, workload, rate=rate, seconds=seconds)
    if seen.p50 is None or seen.p99 is None:
        msg = f"{server.system.name} answered none of {rate:.0f} requests/s with 200"
        raise LoadError(msg)
    return _Seen(rate, service_time, seen.p50, seen.p99, seen)


def _summary(system: str, workload: str, part: float, seen: Sequence[_Seen]) -> OpenLoop:
    return OpenLoop(
        system=system,
        workload=workload,
        part=part,
        rate=spread([one.rate for one in seen]),
        p50=spread([one.p50 for one in seen]),
        p99=spread([one.p99 for one in seen]),
        service_time=spread([one.service_time for one in seen]),
        p99_over_service_time=spread([one.p99 / one.service_time for one in seen]),
        requests=sum(one.arrivals.requests for one in seen),
        errors=sum(one.arrivals.errors for one in seen),
        client_cpu=spread([one.arrivals.client_cpu for one in seen]),
    )
