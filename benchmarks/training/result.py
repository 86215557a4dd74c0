"""The result of `python -m benchmarks.training`, its file and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure.machine import Disturbance, Machine
from benchmarks.measure.statistics import Statistics
from benchmarks.report import result, tables
from benchmarks.report.tables import Table

OURS = "vaetrain"
IMAGES = 60_000


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over one network, all rounds."""

    network: str
    loop: str
    cpu: Statistics
    """Milliseconds of CPU time for a step, including its share of the epoch's end."""
    wall: Statistics
    ours_over: Statistics | None
    """Our CPU time over this loop's, round by round; None for ours."""


@dataclass(frozen=True, slots=True)
class Step:
    """A way of taking steps with one network, all rounds."""

    network: str
    choices: str
    cpu: Statistics
    """Milliseconds of CPU time for 128 images."""
    faster: Statistics
    """Speed relative to the first way, round by round."""
    first_seconds: float
    """Of the first step, which compiles a compiled network."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A comparison of loops, and one of steps."""

    machine: Machine
    disturbance: Disturbance
    loops: list[Loop]
    steps: list[Step]
    missing: dict[str, str]
    """Why a loop could not be measured, by loop."""


def loops(found: Sequence[Loop]) -> Table:
    """Each loop over each network."""
    rows = [
        {
            "network": one.network,
            "loop": one.loop,
            "CPU s/epoch": _epoch(one.cpu),
            "wall s/epoch": _epoch(one.wall),
            f"{OURS} over it, CPU": tables.interval(one.ours_over, 2),
        }
        for one in found
    ]
    return Table("Loops, seconds for 60,000 images", rows, texts=2)


def steps(found: Sequence[Step]) -> Table:
    """Each kind of step with each network."""
    rows = [
        {
            "network": one.network,
            "step": one.choices,
            "CPU s/epoch": _epoch(one.cpu),
            "times as fast": tables.interval(one.faster, 2),
            "first step, s": f"{one.first_seconds:.1f}",
        }
        for one in found
    ]
    return Table("Steps, seconds for 60,000 images", rows, texts=2)


def measured_on(found: TrainingResult) -> str:
    """Machine, versions, other load, and the loops that were not measured."""
    machine = found.machine
    missing = "".join(f"\n{name}: not measured: {why}" for name, why in found.missing.items())
    return (
        f"{machine.date}, commit {machine.commit}, one thread on {machine.cores} cores of "
        f"{machine.processor}\n{machine.versions}\n"
        f"Load average at the start {machine.load_average:.1f}; meanwhile other processes took "
        f"{found.disturbance.others:.0f} % of a core{missing}"
    )


def write(found: TrainingResult, path: Path) -> None:
    """Writes the result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(result.dumps(found))


def read(path: Path) -> TrainingResult:
    """Reads a file of `write`.

    Raises:
        ResultError: the file is not a result of this version.
    """
    return result.parse(path, TrainingResult, "python -m benchmarks.training")


def tables_of(found: TrainingResult) -> tuple[Table, Table]:
    """The tables of the loops and of the steps."""
    return loops(found.loops), steps(found.steps)


def _epoch(step: Statistics) -> str:
    """Milliseconds for a step of 128 images → seconds for an epoch of 60,000."""
    return tables.interval(step.scaled(IMAGES / 128 / 1000), 2)
