"""`python -m benchmarks.load.soak --minutes 10`: whether the service fails or grows under lasting
load.

Many clients send every kind of request at once, in slices of ten seconds. In turn a slice has these
clients alone, misbehaving clients beside them (`benchmarks.load.misbehaving`), or a flood over 256
more connections. Every slice opens new connections, and closes them in the middle of requests.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plans
from benchmarks.exported import find_bundle
from benchmarks.load import misbehaving, workloads, wrk
from benchmarks.load.misbehaving import Kind, Seen
from benchmarks.load.workloads import Workload
from benchmarks.load.wrk import LoadError
from benchmarks.measure.machine import Machine, describe
from benchmarks.measure.processes import cpu_seconds, memory, tree
from benchmarks.report.result import dumps, parse
from benchmarks.run import progress_on_stderr
from benchmarks.servers.ours import Server, ServerError, running, vaeserve
from model.bundle.bundle import BundleError
from model.pixels import Images

FLOOD = 256
GROWTH_LIMIT = 0.05
"""A part of the resident memory; allocators cause smaller growth."""

_SLICE_SECONDS = 10
_TURNS, _MISBEHAVING_TURN, _FLOOD_TURN = 3, 1, 2
_FEW = 4
_MB = 1e6
_RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Slice:
    """Ten seconds of load, and the server's state right after.

    It takes up to a minute more until the misbehaving clients have completed their requests.
    """

    flood: bool
    requests: int
    errors: int
    """Failed requests of the ordinary clients; none may fail."""
    slowest_p99: float
    """Milliseconds, the largest among the workloads."""
    cpu: float
    """Cores' worth of CPU time that the server took."""
    pss: int
    rss: int
    descriptors: int
    """Open files and sockets of all its processes."""
    misbehaving: int = 0
    """Requests of misbehaving clients."""
    failures: int = 0
    """Those of them that met a failure of the service itself."""
    late: int = 0
    """Those of them that met the service's deadline (504)."""
    seconds: float = _SLICE_SECONDS
    """How long it lasted; ten in older results, which did not record it."""


@dataclass(frozen=True, slots=True)
class Soak:
    """A whole run."""

    machine: Machine
    bundle: str
    settings: str
    slices: list[Slice]

    @property
    def errors(self) -> int:
        """Requests that failed."""
        return sum(one.errors + one.failures for one in self.slices)

    @property
    def requests(self) -> int:
        """Requests with a response."""
        return sum(one.requests for one in self.slices)

    @property
    def growth(self) -> float:
        """The median PSS of the last quarter minus that of the second quarter, in bytes.

        The first quarter does not count, because buffers and caches still fill.
        """
        quarter = max(1, len(self.slices) // 4)
        after_start = self.slices[quarter : 2 * quarter] or self.slices
        return statistics.median(one.pss for one in self.slices[-quarter:]) - statistics.median(
            one.pss for one in after_start
        )

    @property
    def grows(self) -> bool:
        """Whether the growth exceeds a twentieth of the PSS."""
        return self.growth > GROWTH_LIMIT * statistics.median(one.pss for one in self.slices)


def clients(image: Images) -> dict[Workload, int]:
    """The workloads of the ordinary clients, with their numbers of connections."""
    every = plans.every_workload(image)
    return {
        every["/sample n=1"]: 16,
        every["/reconstruct"]: 16,
        every["/reconstruct multipart"]: 8,
        every["/encode"]: 8,
        every["/sample n=64"]: 2,
        every["/sample n=1024"]: 1,
    }


def run_slice(
    server: Server,
    asked: dict[Workload, int],
    *,
    seconds: float,
    flood: bool = False,
    kinds: Sequence[Kind] = (),
) -> Slice:
    """Runs all clients at once for whole `seconds`.

    Raises:
        LoadError: the load generator failed.
    """
    loads = list(asked.items()) + ([(workloads.sample(), FLOOD)] if flood else [])
    before, started = cpu_seconds(server.pid), time.perf_counter()
    with ThreadPoolExecutor(len(loads)) as pool:
        # A slice may end before a large request does.
        waiting = [
            pool.submit(wrk.run, server.url, one, connections=number, seconds=seconds, least=0)
            for one, number in loads
        ]
        met = misbehaving.misbehave(server.url, kinds, seconds) if kinds else Seen()
    seen = [one.result() for one in waiting]
    elapsed, resident = time.perf_counter() - started, memory(server.pid)
    return Slice(
        flood=flood,
        requests=sum(one.requests for one in seen),
        errors=sum(one.errors for one in seen),
        slowest_p99=max(one.p99 for one in seen),
        cpu=(cpu_seconds(server.pid) - before) / elapsed,
        pss=resident.pss,
        rss=resident.rss,
        descriptors=sum(_descriptors(pid) for pid in tree(server.pid)),
        misbehaving=met.requests,
        failures=met.failures,
        late=met.late,
        seconds=elapsed,
    )


def line(number: int, one: Slice) -> str:
    """Describes a slice in one line."""
    beside = f" + {FLOOD} connections" if one.flood else ""
    if one.misbehaving:
        beside = f" + {one.misbehaving} requests of misbehaving clients, {one.failures} of them "
        beside += f"failures, {one.late} late"
    return (
        f"slice {number}: {one.requests} requests, {one.errors} errors, p99 up to "
        f"{one.slowest_p99:.0f} ms, {one.cpu:.2f} cores, PSS {one.pss / _MB:.1f} MB, "
        f"{one.descriptors} descriptors{beside}"
    )


def summary(soaked: Soak) -> str:
    """Describes the run in a paragraph."""
    minutes = sum(one.seconds for one in soaked.slices) / 60
    floods = sum(one.flood for one in soaked.slices)
    misbehaving = sum(one.misbehaving for one in soaked.slices)
    pss = [one.pss / _MB for one in soaked.slices]
    few = soaked.slices[:: max(1, len(soaked.slices) // _FEW)]
    over_time = ", ".join(f"{one.pss / _MB:.0f}" for one in few)
    return (
        f"{minutes:.0f} minutes with the {soaked.bundle} model ({soaked.settings}): "
        f"{soaked.requests} requests, {soaked.errors} errors, {floods} floods of {FLOOD} "
        f"connections, {misbehaving} requests of misbehaving clients. "
        f"PSS went from {pss[0]:.1f} to {pss[-1]:.1f} MB (at equal distances "
        f"{over_time}, at most {max(pss):.1f}); the last quarter's median lies "
        f"{soaked.growth / _MB:+.1f} MB from the second quarter's. Descriptors between slices: "
        f"{min(one.descriptors for one in soaked.slices)} to "
        f"{max(one.descriptors for one in soaked.slices)}."
    )


def read(path: Path) -> Soak:
    """Reads the file of a run.

    Raises:
        ResultError: the file is not a result of this version.
    """
    return parse(path, Soak, "python -m benchmarks.load.soak")


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, PermissionError):
        return 0  # the process has just ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each slice; returns 1 if requests failed or memory grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--bundle", default="heavy", help="heavy, small, or a bundle's folder")
    parser.add_argument("--workers", type=int, help="workers of the service (its default)")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for the JSON")
    options = parser.parse_args(arguments)
    progress = progress_on_stderr()
    slices: list[Slice] = []
    try:
        wrk.require_wrk()
        name, bundle = find_bundle(options.bundle)
        image = workloads.golden_image(bundle)
        asked, kinds = clients(image), misbehaving.kinds(image)
        system = vaeserve(bundle, workers=options.workers)
        machine = describe()
        with running(system) as server:
            for number in range(math.ceil(options.minutes * 60 / _SLICE_SECONDS)):
                turn = number % _TURNS
                one = run_slice(
                    server,
                    asked,
                    seconds=_SLICE_SECONDS,
                    flood=turn == _FLOOD_TURN,
                    kinds=kinds if turn == _MISBEHAVING_TURN else (),
                )
                slices.append(one)
                progress(line(number + 1, one))
    except (BundleError, LoadError, ServerError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    soaked = Soak(machine, name, system.settings, slices)
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"soak-{machine.stamp}.json"
    path.write_bytes(dumps(soaked))
    print(f"{summary(soaked)}\nwritten to {path}")
    return 1 if soaked.errors or soaked.grows else 0


if __name__ == "__main__":
    sys.exit(main())
