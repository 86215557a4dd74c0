"""The parts of a run in which one system runs at a time: PNG, onnxruntime, rest, starts."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import workloads
from benchmarks.bench import Bench
from benchmarks.engine_alone import ceilings
from benchmarks.footprint import footprint
from benchmarks.png_alone import codings
from benchmarks.record import Record
from benchmarks.result import BundleResult
from benchmarks.servers import System
from benchmarks.starts import starts
from model.bundle import Bundle

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
        for system in systems if name in effort.rest_rivals else systems[:1]:
            _at_rest(found, system, bench, record)
        record.part(name, "rest")
    if bench.wants("starts") and name in effort.starts_bundles:
        _many_starts(found, bundle, bench)
        record.part(name, "starts")


def _at_rest(found: BundleResult, system: System, bench: Bench, record: Record) -> None:
    bench.progress(f"{system.name} at rest")
    with record.forgiving(system.name):
        effort = bench.effort
        found.footprints.append(
            footprint(system, workloads.sample(), starts=effort.rest_starts, idle=effort.idle)
        )


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
