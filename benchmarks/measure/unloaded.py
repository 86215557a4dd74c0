"""The parts of a run in which one system runs at a time: PNG, onnxruntime, rest, starts."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.load import workloads
from benchmarks.measure.engine_alone import ceilings
from benchmarks.measure.footprint import footprint
from benchmarks.measure.png_alone import codings
from benchmarks.measure.starts import starts
from benchmarks.report.record import Record
from benchmarks.report.result import BundleResult
from benchmarks.report.targets import OURS
from benchmarks.servers.ours import System
from model.bundle.bundle import Bundle

_PNG_ROUNDS, _PNG_SECONDS = 3, 0.2
_STARTS_CONNECTIONS = (16, 64)


def unloaded(
    name: str, bundle: Bundle, systems: Sequence[System], bench: Bench, record: Record
) -> None:
    """Measures what the bench wants of these.

    Raises:
        LoadError: a load generator is missing, or failed.
        ServerError: the service failed to start, or to answer.
    """
    found, effort = record.bundles[name], bench.effort
    if bench.wants("png"):
        image = workloads.golden_image(bundle)
        found.codings.extend(codings(bundle, image, rounds=_PNG_ROUNDS, seconds=_PNG_SECONDS))
        record.part(name, "png")
    if bench.wants("engine"):
        bench.progress("onnxruntime alone")
        alone = ceilings(
            bundle,
            rounds=effort.engine_rounds,
            seconds=effort.engine_seconds,
            batches=effort.batches,
        )
        found.ceilings.extend(alone)
        record.part(name, "engine")
    if bench.wants("rest"):
        # With other numbers of workers the service is under load only, where that is the question.
        rivals = [one for one in systems[1:] if not one.name.startswith(OURS)]
        for system in (systems[0], *(rivals if name in effort.rest_rivals else ())):
            _at_rest(found, system, bench, record)
        record.part(name, "rest")
    if bench.wants("starts") and name in effort.starts_bundles:
        _many_starts(found, bundle, bench)
        record.part(name, "starts")


def _at_rest(found: BundleResult, system: System, bench: Bench, record: Record) -> None:
    bench.progress(f"{system.name} at rest")
    with record.forgiving(system.name):
        effort, ours = bench.effort, system.name.startswith(OURS)
        starts = effort.rest_starts if ours else effort.rest_rivals_starts
        found.footprints.append(
            footprint(system, workloads.sample(), starts=starts, idle=effort.idle)
        )


def _many_starts(found: BundleResult, bundle: Bundle, bench: Bench) -> None:
    # With its defaults alone: one worker has nobody to share connections unevenly with.
    found.starts.extend(
        starts(
            bench.ours(bundle)[0],
            workloads.sample(),
            _STARTS_CONNECTIONS,
            count=bench.effort.starts,
            seconds=bench.effort.seconds,
            progress=bench.progress,
        )
    )
