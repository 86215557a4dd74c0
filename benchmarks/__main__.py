"""`python -m benchmarks`: this service beside other servers and beside upper limits, in one run."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import plans, run
from benchmarks.exported import EXPORTED, find_bundle
from benchmarks.load.wrk import LoadError, require_wrk
from benchmarks.measure.agreement import AgreementError
from benchmarks.peers.environments import EnvironmentMissingError
from benchmarks.peers.systems import systems
from benchmarks.plans import PARTS, Bench, Effort, Selection
from benchmarks.report import report, result, targets
from benchmarks.report.result import Result
from benchmarks.servers import ours
from benchmarks.servers.ours import OURS, ServerError, System
from model.bundle.bundle import Bundle, BundleError

_FOLDER = Path(__file__).parent
_FAILURES = (BundleError, LoadError, ServerError, AgreementError, EnvironmentMissingError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables, and writes the JSON after each part of the run.

    Returns 1 if the service could not be measured under a load, or if a request failed. Missed
    targets and rivals that fail do not count as failures.
    """
    options = _parser().parse_args(arguments)
    written: list[Path] = []

    def keep(found: Result) -> None:
        written[:] = [result.write(found, options.results)]

    try:
        require_wrk()
        bundles = dict(map(find_bundle, options.bundle or EXPORTED))
        bench, missing = _bench(options)
        if bench.selection == Selection():
            minutes = _minutes(bench.effort, bundles, peers=options.peers)
            bench.progress(f"about {minutes} minutes on two cores")
        measured = run.measure(bundles, bench, missing, keep)
    except _FAILURES as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        print(*(f"earlier parts are in {path}" for path in written), file=sys.stderr)
        return 1
    print(report.render(measured, targets.verdicts(measured)))
    print(*(f"\nwritten to {path}" for path in written))
    if measured.errors:
        print(f"benchmarks: {measured.errors} requests failed", file=sys.stderr)
    lost = measured.unanswered(OURS)
    if lost:
        print(f"benchmarks: the service sent no response under {lost} loads", file=sys.stderr)
    return 1 if measured.errors or lost else 0


def _bench(options: argparse.Namespace) -> tuple[Bench, dict[str, str]]:
    selection = Selection(
        workloads=tuple(options.only or ()),
        connections=tuple(options.connections or ()),
        systems=tuple(options.systems or ()),
        parts=tuple(options.parts or ()),
        rounds=options.rounds,
        seconds=options.seconds,
    )
    rivals, missing = _rivals(peers=options.peers)
    effort = _effort(options)
    if options.workers:
        # Numbers of workers that were asked for are measured under every load.
        effort = replace(effort, workers=tuple(options.workers), workers_at=())
    return Bench(effort, selection, rivals, run.progress_on_stderr()), missing


def _effort(options: argparse.Namespace) -> Effort:
    if options.quick:
        return plans.QUICK
    return plans.PEERS if options.peers else plans.STANDARD


def _rivals(*, peers: bool) -> tuple[Callable[[Bundle], list[System]], dict[str, str]]:
    def naive(bundle: Bundle) -> list[System]:
        return [ours.naive_default(bundle), ours.naive_tuned(bundle)]

    if not peers:
        return naive, {}

    def everybody(bundle: Bundle) -> list[System]:
        return [*naive(bundle), ours.naive_torch(bundle), *systems(bundle)]

    return everybody, {"Triton": "it is only available as a container, which is not supported"}


def _minutes(effort: Effort, bundles: Collection[str], *, peers: bool) -> int:
    """For the rivals of `_rivals`; Ray Serve is the restless one among the peers."""
    rivals, restless = (6, 1) if peers else (2, 0)
    return math.ceil(plans.minutes(effort, bundles, rivals, restless))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    quick = _minutes(plans.QUICK, EXPORTED, peers=False)
    without = _minutes(plans.STANDARD, EXPORTED, peers=False)
    peers = _minutes(plans.PEERS, EXPORTED, peers=True)
    more = f"other model servers too, {peers} minutes (without it {without})"
    bundles = "heavy, small (both), or folders of other bundles"
    parser.add_argument("--quick", action="store_true", help=f"one round each, {quick} minutes")
    parser.add_argument("--peers", action="store_true", help=more)
    parser.add_argument("--bundle", nargs="+", metavar="BUNDLE", help=bundles)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="workloads, by part of the name")
    parser.add_argument("--connections", nargs="+", type=int, metavar="N", help="numbers of them")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="rivals, by part of the name")
    workers = "also measure the service with N workers"
    parser.add_argument("--workers", nargs="+", type=int, metavar="N", help=workers)
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="parts to measure")
    parser.add_argument("--rounds", type=int, help="rounds of every load")
    parser.add_argument("--seconds", type=float, help="seconds of every load in every round")
    results = _FOLDER / "results"
    parser.add_argument("--results", type=Path, default=results, help="folder for the JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
