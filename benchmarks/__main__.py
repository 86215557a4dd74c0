"""`python -m benchmarks`: this service beside a naive one and onnxruntime alone, in one run."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import agreement, report, result, workloads
from benchmarks.comparison import Cell, Plan, compare
from benchmarks.engine_alone import ceilings
from benchmarks.footprint import footprint
from benchmarks.machine import describe
from benchmarks.processes import memory
from benchmarks.result import Result
from benchmarks.servers import ServerError, System, naive, running, vaeserve
from benchmarks.wrk import LoadError, require_wrk
from model.bundle import GOLDEN, Bundle, BundleError, open_bundle
from model.pixels import Images, to_uint8

_PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Effort:
    """How long everything takes, in seconds."""

    load: Plan
    engine_rounds: int
    engine_seconds: float
    starts: int
    idle: float


FULL = Effort(Plan((1, 16, 64), rounds=3, seconds=5, warm_up=1), 3, 0.25, 3, 10)
QUICK = Effort(Plan((1, 16, 64), rounds=3, seconds=1, warm_up=1), 1, 0.1, 1, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and writes the JSON; 1 when something could not be measured."""
    options = _parser().parse_args(arguments)
    try:
        require_wrk()
        bundle = find_bundle(options.repository, options.model)
        measured = measure(bundle, QUICK if options.quick else FULL)
    except (BundleError, LoadError, ServerError, agreement.AgreementError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(report.render(measured))
    print(f"\nwritten to {result.write(measured, options.results)}")
    failed = sum(cell.errors for cell in measured.cells)
    if failed:
        print(f"benchmarks: {failed} requests failed", file=sys.stderr)
    return 1 if failed else 0


def measure(bundle: Bundle, effort: Effort) -> Result:
    """One whole run: at rest, onnxruntime alone, then under load."""
    image = golden_image(bundle)
    systems = [vaeserve(bundle), naive(bundle)]
    machine = describe()
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:4.0f} s  {text}", file=sys.stderr, flush=True)

    footprints = []
    for system in systems:
        progress(f"{system.name} at rest")
        footprints.append(
            footprint(system, workloads.sample(), starts=effort.starts, idle=effort.idle)
        )
    progress("onnxruntime alone")
    alone = ceilings(bundle, rounds=effort.engine_rounds, seconds=effort.engine_seconds)
    cells, loaded_pss = under_load(systems, bundle, image, effort.load, progress)
    return Result(
        machine=machine,
        bundle=f"{bundle.folder.parent.name}/{bundle.folder.name}",
        settings={system.name: system.settings for system in systems},
        ceilings=alone,
        cells=cells,
        footprints=footprints,
        loaded_pss=loaded_pss,
    )


def under_load(
    systems: Sequence[System],
    bundle: Bundle,
    image: Images,
    plan: Plan,
    progress: Callable[[str], None],
) -> tuple[list[Cell], dict[str, int]]:
    """Checks the servers' answers, loads them in turn, and weighs them afterwards."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(system)) for system in systems]
        agreement.check(servers, bundle, image)
        loads = [workloads.sample(), workloads.reconstruct(image)]
        cells = compare(servers, loads, plan, progress)
        return cells, {server.system.name: memory(server.pid).pss for server in servers}


def find_bundle(repository: Path, model: str | None) -> Bundle:
    """The highest version of a model, which need not be named when it is the only one.

    Raises:
        BundleError: there is no such model, several to choose from, or the bundle is damaged.
    """
    found = sorted(repository.glob(f"{model or '*'}/*/manifest.json"))
    names = {path.parent.parent.name for path in found}
    if len(names) != 1:
        listed = ", ".join(sorted(names)) or "none"
        msg = f"{repository}: name one model with --model; found: {listed}"
        raise BundleError(msg)
    versions = [path.parent for path in found if path.parent.name.isdecimal()]
    if not versions:
        msg = f"{repository}: no folder <name>/<version>/ with a manifest"
        raise BundleError(msg)
    return open_bundle(max(versions, key=lambda folder: int(folder.name)))


def golden_image(bundle: Bundle) -> Images:
    """The first picture of the bundle's golden batch, uint8 [h, w, c]."""
    with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as archive:
        rows = archive["image"][:1]
    first: Images = to_uint8(rows, bundle.manifest.input.value_range)[0]
    return first


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--repository",
        type=Path,
        default=_PROJECT / "model" / "bundles",
        help="folder of bundles (those that ship)",
    )
    parser.add_argument("--model", help="which of them, when there are several")
    parser.add_argument(
        "--results",
        type=Path,
        default=_PROJECT / "benchmarks" / "results",
        help="folder that the JSON is written to",
    )
    parser.add_argument("--quick", action="store_true", help="one minute instead of five")
    return parser


if __name__ == "__main__":
    sys.exit(main())
