"""One whole run: what is measured, in which order, and beside what."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import agreement, plans, workloads
from benchmarks.bare import bare
from benchmarks.comparison import Contestant, compare, engine_contestant, server_contestant
from benchmarks.engine_alone import Engine, best_batch, ceilings
from benchmarks.footprint import footprint
from benchmarks.machine import Watch, describe
from benchmarks.mixed import mixed
from benchmarks.open_loop import open_loop
from benchmarks.plans import Effort, Selection
from benchmarks.png_alone import codings
from benchmarks.processes import memory, tree
from benchmarks.result import BundleResult, Result
from benchmarks.servers import Server, System, running, vaeserve
from benchmarks.starts import starts
from model.bundle import GOLDEN, Bundle
from model.pixels import Images, to_uint8

RESTLESS = 10.0
"""Percent of a core: a system that takes more while nobody asks is loaded beside ours alone, so
that it does not weigh on the others."""

_PNG_ROUNDS, _PNG_SECONDS = 3, 0.2
_STARTS_CONNECTIONS = (16, 64)
_LARGE = 4096
_FALLBACK_BATCH = 16


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure, and of which systems."""

    effort: Effort
    selection: Selection
    rivals: Callable[[Bundle], Sequence[System]]
    """Everything that the service is compared with."""
    progress: Callable[[str], None]

    def wants(self, *parts: str) -> bool:
        """Whether any of these parts is selected."""
        return bool(set(parts) & set(self.selection.parts_of(self.effort)))

    def systems(self, bundle: Bundle) -> list[System]:
        """The service first, with its numbers of workers, and its selected rivals."""
        rivals = [one for one in self.rivals(bundle) if self.selection.takes_system(one.name)]
        return [*self.ours(bundle), *rivals]

    def ours(self, bundle: Bundle) -> list[System]:
        """The service with its defaults, and with the numbers of workers that are measured."""
        workers = (vaeserve(bundle, workers=number) for number in self.effort.workers)
        return [vaeserve(bundle), *workers]


def measure(bundles: Mapping[str, Bundle], bench: Bench, missing: Mapping[str, str]) -> Result:
    """Every bundle in turn; `missing` says why a system could not be had.

    Raises:
        AgreementError: a system's answer is not the one that the bundle gives.
        LoadError: a load generator is missing or failed.
        ServerError: a server failed to start, or to answer.
    """
    machine, watch = describe(), Watch()
    settings: dict[str, str] = {}
    found: dict[str, BundleResult] = {}
    idle: dict[str, float] = {}
    for name, bundle in bundles.items():
        bench.progress(f"--- {name}")
        systems = bench.systems(bundle)
        settings |= {one.name: one.settings for one in systems}
        found[name] = _unloaded(name, bundle, systems, bench)
        idle |= {one.system: one.idle_cpu.median for one in found[name].footprints}
        if bench.wants("loads", "open", "mixed"):
            for group in groups(systems, idle):
                _loaded(found[name], name, bundle, group, bench)
    return Result(
        machine=machine,
        disturbance=watch.disturbance(),
        effort=bench.effort.name,
        settings=settings,
        missing=dict(missing),
        bundles=found,
    )


def progress_on_stderr() -> Callable[[str], None]:
    """Prints each text with the seconds since this call."""
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    return progress


def golden_image(bundle: Bundle) -> Images:
    """The first picture of the bundle's golden batch, uint8 [h, w, c]."""
    with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as archive:
        rows = archive["image"][:1]
    first: Images = to_uint8(rows, bundle.manifest.input.value_range)[0]
    return first


def _unloaded(name: str, bundle: Bundle, systems: Sequence[System], bench: Bench) -> BundleResult:
    found, effort = BundleResult(), bench.effort
    if bench.wants("png"):
        image = golden_image(bundle)
        found.codings.extend(codings(bundle, image, rounds=_PNG_ROUNDS, seconds=_PNG_SECONDS))
    if bench.wants("engine"):
        bench.progress("onnxruntime alone")
        alone = ceilings(
            bundle,
            rounds=effort.engine_rounds,
            seconds=effort.engine_seconds,
            batches=effort.batches,
        )
        found.ceilings.extend(alone)
    if bench.wants("rest"):
        for system in systems if name in effort.rest_rivals else systems[:1]:
            bench.progress(f"{system.name} at rest")
            found.footprints.append(
                footprint(system, workloads.sample(), starts=effort.rest_starts, idle=effort.idle)
            )
    if bench.wants("starts") and name in effort.starts_bundles:
        _many_starts(found, bundle, bench)
    return found


def groups(systems: Sequence[System], idle: Mapping[str, float]) -> Iterator[list[System]]:
    """Who is running at the same time: the service and all quiet systems, then the service and
    each restless one.

    `idle` has, by name, what a system takes while nobody asks, in percent of a core.
    """
    restless = [one for one in systems[1:] if idle.get(one.name, 0) > RESTLESS]
    yield [one for one in systems if one not in restless]
    for one in restless:
        yield [systems[0], one]


def _many_starts(found: BundleResult, bundle: Bundle, bench: Bench) -> None:
    for system in bench.ours(bundle):
        found.starts.extend(
            starts(
                system,
                workloads.sample(),
                _STARTS_CONNECTIONS,
                count=bench.effort.starts,
                seconds=bench.effort.seconds,
                progress=bench.progress,
            )
        )


def _loaded(
    found: BundleResult, name: str, bundle: Bundle, group: Sequence[System], bench: Bench
) -> None:
    effort, image = bench.effort, golden_image(bundle)
    bench.progress(f"starting {', '.join(one.name for one in group)}")
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(system)) for system in group]
        agreement.check(servers, bundle, image)
        if bench.wants("loads"):
            cells = compare(
                [*map(server_contestant, servers), *_ceilings(found, servers[0], bundle, stack)],
                plans.loads(effort, bench.selection, name, image),
                seconds=bench.selection.seconds or effort.seconds,
                warm_up=effort.warm_up,
                progress=bench.progress,
            )
            known = {one.system for one in found.cells}
            found.cells.extend(one for one in cells if one.system not in known)
        fresh = [one for one in servers if one.system.name not in found.loaded_pss]
        found.loaded_pss.update({one.system.name: memory(one.pid).pss for one in fresh})
        asked = [one for one in fresh if one is servers[0]]
        if bench.wants("open"):
            found.open_loops.extend(
                open_loop(
                    asked,
                    workloads.sample(),
                    rounds=effort.open_rounds,
                    seconds=effort.open_seconds,
                    progress=bench.progress,
                )
            )
        if bench.wants("mixed"):
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


def _ceilings(
    found: BundleResult, ours: Server, bundle: Bundle, stack: contextlib.ExitStack
) -> Iterator[Contestant]:
    # Several workers have a supervisor, which serves nothing.
    processes = max(1, len(tree(ours.pid)) - 1)
    yield server_contestant(stack.enter_context(running(bare(processes))), runs_network=False)
    batch = best_batch(found.ceilings, "decoder") if found.ceilings else _FALLBACK_BATCH
    yield engine_contestant(Engine(bundle), batch)
