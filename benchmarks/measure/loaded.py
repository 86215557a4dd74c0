"""The parts of a run under load, in which several systems run at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from benchmarks import plans
from benchmarks.bench import Bench
from benchmarks.load import workloads
from benchmarks.load.mixed import mixed
from benchmarks.load.open_loop import open_loop
from benchmarks.load.workloads import Workload
from benchmarks.measure import agreement
from benchmarks.measure.comparison import (
    Cell,
    Contestant,
    Run,
    Unanswered,
    compare,
    engine_contestant,
    server_contestant,
)
from benchmarks.measure.engine_alone import Engine, best_batch
from benchmarks.measure.processes import memory, tree
from benchmarks.report.record import Record
from benchmarks.report.result import BundleResult
from benchmarks.report.targets import OURS
from benchmarks.servers.fastapi_floor import bare
from benchmarks.servers.ours import Server, System, running
from model.bundle.bundle import Bundle

_LARGE = 4096
_FALLBACK_BATCH = 16


def loaded(
    name: str, bundle: Bundle, group: Sequence[System], bench: Bench, record: Record
) -> None:
    """Starts a group of systems, the service first, and measures them side by side.

    Raises:
        AgreementError: the service's answer is not the one that the bundle gives.
        LoadError: a load generator is missing, or failed with the service.
        ServerError: the service failed to start, or to answer.
    """
    found = record.bundles[name]
    bench.progress(f"starting {', '.join(one.name for one in group)}")
    with contextlib.ExitStack() as stack:
        servers = list(_started(group, bundle, stack, bench, record))
        if bench.wants("loads"):
            _compared(name, bundle, servers, bench, record)
        fresh = [one for one in servers if one.system.name not in found.loaded_pss]
        found.loaded_pss.update({one.system.name: memory(one.pid).pss for one in fresh})
        _beside(name, [one for one in fresh if one.system.name.startswith(OURS)], bench, record)


def _started(
    group: Sequence[System],
    bundle: Bundle,
    stack: contextlib.ExitStack,
    bench: Bench,
    record: Record,
) -> Iterator[Server]:
    """Those that start and answer rightly, until the stack is closed."""
    image = workloads.golden_image(bundle)
    for system in group:
        with record.forgiving(system.name), contextlib.ExitStack() as own:
            server = own.enter_context(running(system))
            agreement.check([server], bundle, image)
            stack.enter_context(own.pop_all())
            yield server


def _compared(
    name: str, bundle: Bundle, servers: Sequence[Server], bench: Bench, record: Record
) -> None:
    found, effort = record.bundles[name], bench.effort

    def keep(cells: Sequence[Cell]) -> None:
        known = {(one.system, one.workload, one.connections) for one in found.cells}
        found.cells.extend(
            one for one in cells if (one.system, one.workload, one.connections) not in known
        )
        record.progress()

    def lose(one: Unanswered) -> None:
        if one not in found.unanswered:
            found.unanswered.append(one)

    with contextlib.ExitStack() as stack:
        compare(
            [
                *(_contestant(one, bench, record) for one in servers),
                *_ceilings(found, servers[0], bundle, stack),
            ],
            plans.loads(effort, bench.selection, name, workloads.golden_image(bundle)),
            seconds=bench.selection.seconds or effort.seconds,
            warm_up=effort.warm_up,
            progress=bench.progress,
            keep=keep,
            lose=lose,
        )


def _contestant(server: Server, bench: Bench, record: Record) -> Contestant:
    """The server, as long as it has not failed, and under the loads that it is wanted for."""
    asked = server_contestant(server)
    name = server.system.name
    wanted = bench.effort.workers_at if name != OURS and name.startswith(OURS) else ()

    def run(workload: Workload, connections: int, seconds: float) -> Run | None:
        asks = not wanted or (workload.name, connections) in wanted
        if asks and name not in record.missing:
            with record.forgiving(name):
                return asked.run(workload, connections, seconds)
        return None

    return Contestant(name, run)


def _beside(name: str, asked: Sequence[Server], bench: Bench, record: Record) -> None:
    found, effort = record.bundles[name], bench.effort
    if bench.wants("open") and asked:
        found.open_loops.extend(
            open_loop(
                asked[:1],
                workloads.sample(),
                rounds=effort.open_rounds,
                seconds=effort.open_seconds,
                progress=bench.progress,
            )
        )
        record.part(name, "open")
    if bench.wants("mixed") and asked:
        found.mixed.extend(
            mixed(
                asked,
                workloads.sample(),
                workloads.sample(n=_LARGE),
                rounds=effort.mixed_rounds,
                seconds=effort.mixed_seconds,
                progress=bench.progress,
            )
        )
        record.part(name, "mixed")


def _ceilings(
    found: BundleResult, ours: Server, bundle: Bundle, stack: contextlib.ExitStack
) -> Iterator[Contestant]:
    # Several workers have a supervisor, which serves nothing.
    processes = max(1, len(tree(ours.pid)) - 1)
    yield server_contestant(stack.enter_context(running(bare(processes))), runs_network=False)
    batch = best_batch(found.ceilings, "decoder") if found.ceilings else _FALLBACK_BATCH
    yield engine_contestant(Engine(bundle), batch)
