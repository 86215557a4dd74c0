"""One whole run: what is measured, in which order, and beside what."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.bench import Bench
from benchmarks.measure.loaded import loaded
from benchmarks.measure.unloaded import unloaded
from benchmarks.report.record import Record
from benchmarks.report.result import BundleResult, Result
from benchmarks.servers.ours import System
from model.bundle.bundle import Bundle

RESTLESS = 10.0
"""Percent of a core: a system that takes more while nobody asks is loaded beside ours alone, so
that it does not weigh on the others."""


def measure(
    bundles: Mapping[str, Bundle],
    bench: Bench,
    missing: Mapping[str, str],
    keep: Callable[[Result], object] = lambda result: None,
) -> Result:
    """Every bundle in turn; a rival that fails is left out from there on.

    Args:
        bundles: by name.
        bench: what to measure of whom.
        missing: why a system could not be had.
        keep: given everything so far after each part, and at the end, whatever ends it.

    Raises:
        AgreementError: the service's answer is not the one that the bundle gives.
        LoadError: a load generator is missing, or failed with the service.
        ServerError: the service failed to start, or to answer.
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


def _bundle(name: str, bundle: Bundle, bench: Bench, record: Record) -> None:
    systems = [one for one in bench.systems(bundle) if one.name not in record.missing]
    record.settings |= {one.name: one.settings for one in systems}
    found = record.bundles[name] = BundleResult()
    unloaded(name, bundle, systems, bench, record)
    idle = {
        one.system: one.idle_cpu.median
        for figures in record.bundles.values()
        for one in figures.footprints
    }
    if bench.wants("loads", "open", "mixed"):
        for group in groups(systems, idle):
            left = [one for one in group if one.name not in record.missing]
            # A second group is there for its rival alone.
            if len(left) > 1 or not found.loaded_pss:
                loaded(name, bundle, left, bench, record)
    if bench.wants("loads"):
        record.part(name, "loads")


def progress_on_stderr() -> Callable[[str], None]:
    """Prints each text with the seconds since this call."""
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    return progress


def groups(systems: Sequence[System], idle: Mapping[str, float]) -> Iterator[list[System]]:
    """Who is running at the same time: the service and all quiet systems, then the service and
    each restless one.

    `idle` has, by name, what a system takes while nobody asks, in percent of a core.
    """
    restless = [one for one in systems[1:] if idle.get(one.name, 0) > RESTLESS]
    yield [one for one in systems if one not in restless]
    for one in restless:
        yield [systems[0], one]
