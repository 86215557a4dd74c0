"""The parts of a run in which several systems run at the same time, under load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from benchmarks import plans
from benchmarks.load import workloads
from benchmarks.load.mixed import mixed
from benchmarks.load.open_loop import open_loop
from benchmarks.load.workloads import Workload
from benchmarks.measure import agreement, comparison
from benchmarks.measure.comparison import Cell, Contestant, Run, Unanswered
from benchmarks.measure.engine_alone import Engine, best_batch
from benchmarks.measure.processes import memory, tree
from benchmarks.plans import Bench
from benchmarks.report.result import BundleResult, Record
from benchmarks.servers.fastapi_floor import floor
from benchmarks.servers.ours import OURS, Server, System, running
from model.bundle.bundle import Bundle

_LARGE = 4096
_FALLBACK_BATCH = 16


def loaded(
    name: str, bundle: Bundle, group: Sequence[System], bench: Bench, record: Record
) -> None:
    """Starts a group of systems, the service first, and measures them together.

    Raises:
        AgreementError: the service's response is not what the bundle gives.
        LoadError: a load generator is missing, or failed with the service.
        ServerError: the service did not start, or its status was not 200.
    """
    found = record.bundles[name]
    bench.progress(f"starting {', '.join(one.name for one in group)}")
    with contextlib.ExitStack() as stack:
        servers = list(_started(group, bundle, stack, record))
        if bench.wants("loads"):
            _compared(name, bundle, servers, bench, record)
        fresh = [one for one in servers if one.system.name not in found.loaded_pss]
        found.loaded_pss.update({one.system.name: memory(one.pid).pss for one in fresh})
        ours = [one for one in fresh if one.system.name.startswith(OURS)]
        if bench.wants("open") and ours:
            _open_loop(found, ours[0], bench)
            record.part(name, "open")
        if bench.wants("mixed") and ours:
            _mixed(found, ours, bench)
            record.part(name, "mixed")


def _started(
    group: Sequence[System], bundle: Bundle, stack: contextlib.ExitStack, record: Record
) -> Iterator[Server]:
    """Yields the systems that start and respond correctly; they run until the stack is closed."""
    image = workloads.golden_image(bundle)
    for system in group:
        with record.forgiving(system.name), contextlib.ExitStack() as own:
            server = own.enter_context(running(system))
            agreement.check(server, bundle, image)
            stack.enter_context(own.pop_all())
            yield server


def _compared(
    name: str, bundle: Bundle, servers: Sequence[Server], bench: Bench, record: Record
) -> None:
    found, effort = record.bundles[name], bench.effort

    def keep(cells: Sequence[Cell]) -> None:
        # The service runs in every group; the cells of its first one count.
        known = {(one.system, one.workload, one.connections) for one in found.cells}
        found.cells.extend(
            one for one in cells if (one.system, one.workload, one.connections) not in known
        )
        record.progress()

    def lose(one: Unanswered) -> None:
        if one not in found.unanswered:
            found.unanswered.append(one)

    with contextlib.ExitStack() as stack:
        comparison.compare(
            [
                *(_contestant(one, bench, record) for one in servers),
                *_upper_limits(found, servers[0], bundle, stack),
            ],
            plans.loads(effort, bench.selection, name, workloads.golden_image(bundle)),
            seconds=bench.selection.seconds or effort.seconds,
            warm_up=effort.warm_up,
            progress=bench.progress,
            keep=keep,
            lose=lose,
        )


def _contestant(server: Server, bench: Bench, record: Record) -> Contestant:
    """The server, as long as it has not failed, under the loads for which it is wanted."""
    contestant = comparison.server_contestant(server)
    name = server.system.name
    wanted = bench.effort.workers_at if name != OURS and name.startswith(OURS) else ()

    def run(workload: Workload, connections: int, seconds: float) -> Run | None:
        selected = not wanted or (workload.name, connections) in wanted
        if selected and name not in record.missing:
            with record.forgiving(name):
                return contestant.run(workload, connections, seconds)
        return None

    return Contestant(name, run)


def _upper_limits(
    found: BundleResult, ours: Server, bundle: Bundle, stack: contextlib.ExitStack
) -> Iterator[Contestant]:
    # Several workers have a supervisor, which serves no requests.
    processes = max(1, len(tree(ours.pid)) - 1)
    lowest = stack.enter_context(running(floor(processes)))
    yield comparison.server_contestant(lowest, runs_network=False)
    batch = best_batch(found.ceilings, "decoder") if found.ceilings else _FALLBACK_BATCH
    yield comparison.engine_contestant(Engine(bundle), batch)


def _open_loop(found: BundleResult, server: Server, bench: Bench) -> None:
    effort, small = bench.effort, workloads.sample()
    bench.progress(f"{small.name} at fixed rates, {server.system.name}")
    rounds, seconds = effort.open_rounds, effort.open_seconds
    found.open_loops.extend(open_loop(server, small, rounds=rounds, seconds=seconds))


def _mixed(found: BundleResult, servers: Sequence[Server], bench: Bench) -> None:
    effort, small, large = bench.effort, workloads.sample(), workloads.sample(n=_LARGE)
    rounds, seconds = effort.mixed_rounds, effort.mixed_seconds
    for server in servers:
        bench.progress(f"{small.name} beside {large.name}, {server.system.name}")
        found.mixed.append(mixed(server, small, large, rounds=rounds, seconds=seconds))
