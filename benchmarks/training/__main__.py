"""`python -m benchmarks.training`: loops in turns, then steps in turns, and their tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure.machine import Machine, Watch, describe
from benchmarks.measure.statistics import paired_ratios, spread
from benchmarks.peers import environments
from benchmarks.peers.environments import EnvironmentMissingError
from benchmarks.report import report
from benchmarks.training import cases, our_loop, result
from benchmarks.training.cases import CASES, Taken
from benchmarks.training.result import OURS, Loop, Step, TrainingResult
from benchmarks.training.steps import VARIANTS, Variant
from benchmarks.training.worker import LOOPS
from training.system import git_commit

_DOCS = Path(__file__).parents[2] / "docs" / "results" / "bench-train.json"
_ROOT = Path(__file__).parents[2]
_PEERS = "trainers"
_OF_PEERS = ("Lightning", "pythae")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and writes the JSON; 1 when our own loop could not be measured."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    machine, watch = _describe(), Watch()
    loops: list[Loop] = []
    steps: list[Step] = []
    missing: dict[str, str] = {}

    def keep() -> TrainingResult:
        # After each part: what is left of a run that is killed can be drawn too.
        found = TrainingResult(machine, watch.disturbance(), loops, steps, missing)
        result.write(found, options.results)
        return found

    wanted = options.networks or CASES
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in wanted if name != "wide" and "loops" in options.parts):
            loops += _loops(name, options.rounds, Path(folder, name), missing)
            keep()
    for name in (name for name in wanted if name != "tiny" and "steps" in options.parts):
        steps += _steps(name, options.rounds, compiled=not options.no_compile)
        keep()
    found = keep()
    print(result.measured_on(found))
    for table in (result.loops(found.loops), result.steps(found.steps)):
        print(f"\n{report.text(table)}")
    print(f"\nwritten to {options.results}")
    return int(OURS in missing)


def _loops(name: str, rounds: int, folder: Path, missing: dict[str, str]) -> list[Loop]:
    case = CASES[name]
    (folder / "pictures").mkdir(parents=True)
    images = cases.images(case.images)
    np.save(folder / "pictures.npy", images)
    our_loop.write_images(images, folder / "pictures")
    taken: dict[str, list[Taken]] = {}
    for number in range(rounds):
        # A B C, C B A, so that a disturbance weighs on all alike.
        for loop in list(LOOPS)[:: -1 if number % 2 else 1]:
            if loop in missing:
                continue
            _say(f"{name}, round {number + 1} of {rounds}: {loop}")
            try:
                taken.setdefault(loop, []).append(_taken(loop, name, folder))
            except (EnvironmentMissingError, subprocess.CalledProcessError) as error:
                missing[loop] = str(error)
                taken.pop(loop, None)
    ours = [one.cpu for one in taken.get(OURS, [])]
    return [
        Loop(
            network=name,
            loop=loop,
            cpu=spread([one.cpu for one in times]),
            wall=spread([one.wall for one in times]),
            ours_over=(
                paired_ratios(ours, [one.cpu for one in times]) if ours and loop != OURS else None
            ),
        )
        for loop, times in taken.items()
    ]


def _taken(loop: str, case: str, folder: Path) -> Taken:
    """Of one round, in a process of its own: one may be a tenth faster than the next throughout.

    Raises:
        EnvironmentMissingError: the loop is a peer's, and that is not installed.
        subprocess.CalledProcessError: it failed, and has said why.
    """
    peer = loop.startswith(_OF_PEERS)
    python = environments.program(_PEERS) if peer else sys.executable
    command = [python, "-m", "benchmarks.training.worker", loop, case, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    with (folder / "said.log").open("wb") as said:
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=said, check=True
        )
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def _steps(name: str, rounds: int, *, compiled: bool) -> list[Step]:
    case = CASES[name]
    images = cases.images(min(case.images, 2_560))
    grey = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    wanted = {text: one for text, one in VARIANTS.items() if compiled or not one.compile}
    variants = {}
    for text, choices in wanted.items():
        _say(f"{name}: {text}")
        variants[text] = Variant(case, choices, grey)
    times: dict[str, list[float]] = {text: [] for text in variants}
    for number in range(rounds):
        for text in list(variants)[:: -1 if number % 2 else 1]:
            times[text].append(variants[text].round())
    first = times[next(iter(VARIANTS))]
    return [
        Step(name, text, spread(taken), paired_ratios(first, taken), variants[text].first_seconds)
        for text, taken in times.items()
    ]


def _describe() -> Machine:
    packages = {name: version(name) for name in ("torch",)}
    for pin in environments.WANTED[_PEERS][:2]:
        packages |= dict([pin.split("==")])
    commit = git_commit("model", "training", "benchmarks") or "unknown"
    return replace(describe(), packages=packages, commit=commit)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="in turns (3)")
    parser.add_argument("--networks", nargs="+", choices=CASES, metavar="NAME", help="conv, mlp …")
    parser.add_argument(
        "--parts", nargs="+", choices=("loops", "steps"), default=("loops", "steps")
    )
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--results", type=Path, default=_DOCS, help="the JSON to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
