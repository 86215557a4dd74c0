"""One whole run: every part for every bundle, in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.load import workloads
from benchmarks.loaded import loaded
from benchmarks.measure.engine_alone import ceilings
from benchmarks.measure.png_alone import codings
from benchmarks.measure.starts import footprint, starts
from benchmarks.plans import Bench
from benchmarks.report.result import BundleResult, Record, Result
from benchmarks.servers.ours import OURS, System
from model.bundle.bundle import Bundle

RESTLESS = 10.0
"""Percent of a core. A system that uses more while idle runs beside the service alone, because it
would slow the others down."""

_PNG_ROUNDS, _PNG_SECONDS = 3, 0.2
_STARTS_CONNECTIONS = (16, 64)


def measure(
    bundles: Mapping[str, Bundle],
    bench: Bench,
    missing: Mapping[str, str],
    keep: Callable[[Result], object] = lambda result: None,
) -> Result:
    """Measures every bundle in turn; a rival that fails is left out from there on.

    Args:
        bundles: by name.
        bench: what to measure, and of which systems.
        missing: why a system is not available, by system.
        keep: called with the result so far after each part, and at the end, even after an error.

    Raises:
        AgreementError: the service's response is not what the bundle gives.
        LoadError: a load generator is missing, or failed with the service.
        ServerError: the service did not start, or its status was not 200.
    """
    record = Record(bench.effort.name, missing, keep, bench.progress)
    try:
        for name, bundle in bundles.items():
            bench.progress(f"--- {name}")
            _bundle(name, bundle, bench, record)
    except BaseException as error:
        record.ended(f"{type(error).__name__}: {error}")
        raise
    return record.ended()


def progress_on_stderr() -> Callable[[str], None]:
    """Returns a function that prints a text with the seconds since this call."""
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    return progress


def groups(systems: Sequence[System], idle: Mapping[str, float]) -> Iterator[list[System]]:
    """The systems that run at the same time: the service with all quiet systems, then the service
    with each restless one.

    `idle` is the CPU that a system uses without requests, in percent of a core, by name.
    """
    restless = [one for one in systems[1:] if idle.get(one.name, 0) > RESTLESS]
    yield [one for one in systems if one not in restless]
    for one in restless:
        yield [systems[0], one]


def _bundle(name: str, bundle: Bundle, bench: Bench, record: Record) -> None:
    systems = [one for one in bench.systems(bundle) if one.name not in record.missing]
    record.settings |= {one.name: one.settings for one in systems}
    found = record.bundles[name] = BundleResult()
    for part, measure_part in (("png", _pngs), ("engine", _engine)):
        if bench.wants(part):
            measure_part(found, bundle, bench)
            record.part(name, part)
    if bench.wants("rest"):
        # Other numbers of workers matter only under load.
        rivals = [one for one in systems[1:] if not one.name.startswith(OURS)]
        for system in (systems[0], *(rivals if name in bench.effort.rest_rivals else ())):
            _at_rest(found, system, bench, record)
        record.part(name, "rest")
    if bench.wants("starts") and name in bench.effort.starts_bundles:
        _starts(found, bundle, bench)
        record.part(name, "starts")
    if bench.wants("loads", "open", "mixed"):
        _loads(name, bundle, systems, bench, record)
    if bench.wants("loads"):
        record.part(name, "loads")


def _pngs(found: BundleResult, bundle: Bundle, bench: Bench) -> None:
    image = workloads.golden_image(bundle)
    found.codings.extend(codings(bundle, image, rounds=_PNG_ROUNDS, seconds=_PNG_SECONDS))


def _engine(found: BundleResult, bundle: Bundle, bench: Bench) -> None:
    bench.progress("onnxruntime alone")
    effort = bench.effort
    rounds, seconds, batches = effort.engine_rounds, effort.engine_seconds, effort.batches
    found.ceilings.extend(ceilings(bundle, rounds=rounds, seconds=seconds, batches=batches))


def _at_rest(found: BundleResult, system: System, bench: Bench, record: Record) -> None:
    bench.progress(f"{system.name} at rest")
    effort, ours = bench.effort, system.name.startswith(OURS)
    count = effort.rest_starts if ours else effort.rest_rivals_starts
    with record.forgiving(system.name):
        seen = footprint(system, workloads.sample(), starts=count, idle=effort.idle)
        found.footprints.append(seen)


def _starts(found: BundleResult, bundle: Bundle, bench: Bench) -> None:
    # The defaults alone: a single worker can't share connections unevenly.
    system, count, seconds = bench.ours(bundle)[0], bench.effort.starts, bench.effort.seconds
    bench.progress(f"{count} starts of {system.name}")
    found.starts.extend(
        starts(system, workloads.sample(), _STARTS_CONNECTIONS, count=count, seconds=seconds)
    )


def _loads(
    name: str, bundle: Bundle, systems: Sequence[System], bench: Bench, record: Record
) -> None:
    idle = {
        one.system: one.idle_cpu.median
        for figures in record.bundles.values()
        for one in figures.footprints
    }
    for group in groups(systems, idle):
        left = [one for one in group if one.name not in record.missing]
        # Every group after the first exists for its rival.
        if len(left) > 1 or not record.bundles[name].loaded_pss:
            loaded(name, bundle, left, bench, record)
