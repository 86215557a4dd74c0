"""`python -m benchmarks.training`: compares training loops, then kinds of steps."""

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

from benchmarks.measure.comparison import in_turn
from benchmarks.measure.machine import Machine, Watch, describe
from benchmarks.measure.statistics import Statistics, paired_ratios
from benchmarks.peers import environments
from benchmarks.peers.environments import EnvironmentMissingError
from benchmarks.training import cases, our_loop, result
from benchmarks.training.cases import CASES, Taken
from benchmarks.training.result import OURS, Loop, Step, TrainingResult
from benchmarks.training.steps import VARIANTS, Variant
from benchmarks.training.worker import LOOPS
from training.system import git_commit

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs" / "results" / "bench-train.json"
_PEERS = "trainers"
_OF_PEERS = ("Lightning", "pythae")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and writes the JSON; returns 1 if our own loop could not be measured."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    machine, watch = _describe(), Watch()
    loops: list[Loop] = []
    steps: list[Step] = []
    missing: dict[str, str] = {}

    def keep() -> TrainingResult:
        # Called after each part, so that a run that is killed leaves its earlier parts.
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
    for table in result.tables_of(found):
        print(f"\n{table.text()}")
    print(f"\nwritten to {options.results}")
    return int(OURS in missing)


def _loops(name: str, rounds: int, folder: Path, missing: dict[str, str]) -> list[Loop]:
    case = CASES[name]
    (folder / "images").mkdir(parents=True)
    images = cases.images(case.images)
    np.save(folder / "images.npy", images)
    our_loop.write_images(images, folder / "images")
    taken: dict[str, list[Taken]] = {}
    for number in range(rounds):
        # The order alternates, so that a disturbance affects all loops equally.
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
    found = []
    for loop, times in taken.items():
        cpu = [one.cpu for one in times]
        over = paired_ratios(ours, cpu) if ours and loop != OURS else None
        wall = Statistics.of([one.wall for one in times])
        found.append(Loop(name, loop, Statistics.of(cpu), wall, over))
    return found


def _taken(loop: str, case: str, folder: Path) -> Taken:
    """Runs one round in a new process, because a process may be a tenth faster than the next.

    Raises:
        EnvironmentMissingError: the loop belongs to a peer that is not installed.
        subprocess.CalledProcessError: the loop failed and logged the reason.
    """
    peer = loop.startswith(_OF_PEERS)
    python = environments.program(_PEERS) if peer else sys.executable
    command = [python, "-m", "benchmarks.training.worker", loop, case, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    with (folder / "output.log").open("wb") as log:
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, check=True
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
    turns = [in_turn([*variants.values()], number, Variant.round) for number in range(rounds)]
    times = dict(zip(variants, zip(*turns, strict=True), strict=True))
    first = times[next(iter(VARIANTS))]
    steps = []
    for text, taken in times.items():
        faster, seconds = paired_ratios(first, taken), variants[text].first_seconds
        steps.append(Step(name, text, Statistics.of(taken), faster, seconds))
    return steps


def _describe() -> Machine:
    peers = dict(pin.split("==") for pin in environments.WANTED[_PEERS][:2])
    commit = git_commit("model", "training", "benchmarks") or "unknown"
    return replace(describe(), packages={"torch": version("torch"), **peers}, commit=commit)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each loop and step (3)")
    parser.add_argument("--networks", nargs="+", choices=CASES, metavar="NAME", help="conv, mlp …")
    parser.add_argument(
        "--parts", nargs="+", choices=("loops", "steps"), default=("loops", "steps")
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--results", type=Path, default=_DOCS, help="file for the JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
