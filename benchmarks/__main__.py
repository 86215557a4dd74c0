"""`python -m benchmarks`: this service beside others and beside what it can't beat, in one run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import bars, plans, report, result, run, servers
from benchmarks.agreement import AgreementError
from benchmarks.peers.environments import EnvironmentMissingError
from benchmarks.peers.systems import systems
from benchmarks.plans import PARTS, Effort, Selection
from benchmarks.run import Bench
from benchmarks.servers import ServerError, System
from benchmarks.wrk import LoadError, require_wrk
from model.bundle import Bundle, BundleError, open_bundle

_FOLDER = Path(__file__).parent
_EXPORTED = ("heavy", "small")
_FAILURES = (BundleError, LoadError, ServerError, AgreementError, EnvironmentMissingError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and writes the JSON.

    1 when something could not be measured or a request failed; a bar that is missed is no failure
    of the run.
    """
    options = _parser().parse_args(arguments)
    try:
        require_wrk()
        bundles = dict(map(find_bundle, options.bundle or _EXPORTED))
        bench, missing = _bench(options)
        measured = run.measure(bundles, bench, missing)
    except _FAILURES as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(report.render(measured, bars.verdicts(measured)))
    print(f"\nwritten to {result.write(measured, options.results)}")
    if measured.errors:
        print(f"benchmarks: {measured.errors} requests failed", file=sys.stderr)
    return 1 if measured.errors else 0


def find_bundle(named: str) -> tuple[str, Bundle]:
    """`heavy` and `small`, exported first where they are missing, or a bundle's folder.

    Raises:
        BundleError: there is no bundle in the folder, or it is damaged; or exporting failed.
    """
    if named not in _EXPORTED:
        bundle = open_bundle(Path(named))
        return bundle.manifest.name, bundle
    # In a process of its own: torch is large, and its threads have no place in this one.
    command = [sys.executable, "-m", "benchmarks.bundles", "--model", named]
    exported = subprocess.run(command, check=False)
    if exported.returncode:
        msg = f"the {named} model was not exported; that needs torch, which `make setup` installs"
        raise BundleError(msg)
    return named, open_bundle(_FOLDER / "bundles" / named / "1")


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
        effort = replace(effort, workers=tuple(options.workers))
    return Bench(effort, selection, rivals, run.progress_on_stderr()), missing


def _effort(options: argparse.Namespace) -> Effort:
    if options.quick:
        return plans.QUICK
    return plans.PEERS if options.peers else plans.STANDARD


def _rivals(*, peers: bool) -> tuple[Callable[[Bundle], list[System]], dict[str, str]]:
    def naive(bundle: Bundle) -> list[System]:
        return [servers.naive_default(bundle), servers.naive_tuned(bundle)]

    if not peers:
        return naive, {}

    def everybody(bundle: Bundle) -> list[System]:
        return [*naive(bundle), servers.naive_torch(bundle), *systems(bundle)]

    return everybody, {"Triton": "it comes as a container only, which this bench can't install"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes, one round each")
    parser.add_argument("--peers", action="store_true", help="other model servers too; an hour")
    parser.add_argument(
        "--bundle",
        nargs="+",
        metavar="BUNDLE",
        help="heavy, small (both), or folders of other bundles",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="workloads with this in the name")
    parser.add_argument("--connections", nargs="+", type=int, metavar="N")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="rivals with this in the name")
    parser.add_argument(
        "--workers", nargs="+", type=int, metavar="N", help="the service with N workers, too"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="parts of the run")
    parser.add_argument("--rounds", type=int, help="for every load")
    parser.add_argument("--seconds", type=float, help="of every load in every round")
    parser.add_argument(
        "--results",
        type=Path,
        default=_FOLDER / "results",
        help="folder that the JSON is written to",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
