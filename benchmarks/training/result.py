"""What one run of `python -m benchmarks.training` found, and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure.machine import Disturbance, Machine
from benchmarks.measure.statistics import Spread
from benchmarks.report import result, tables
from benchmarks.report.tables import Table

OURS, BARE = "vaetrain", "bare loop"
IMAGES = 60_000
_COMMAND = "python -m benchmarks.training"


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over one network, all rounds."""

    network: str
    loop: str
    cpu: Spread
    """Milliseconds of processor time for a step, the end of its epoch included."""
    wall: Spread
    ours_over: Spread | None
    """Our processor time over this loop's, round by round; None for ours."""


@dataclass(frozen=True, slots=True)
class Step:
    """A way of taking steps with one network, all rounds."""

    network: str
    choices: str
    cpu: Spread
    """Milliseconds of processor time for 128 images."""
    faster: Spread
    """How many times as fast as the first, round by round."""
    first_seconds: float
    """Of the first step; of a compiled network its compilation."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Loops beside each other, and steps beside each other."""

    machine: Machine
    disturbance: Disturbance
    loops: list[Loop]
    steps: list[Step]
    missing: dict[str, str]
    """By loop that could not be measured, why."""


def loops(found: Sequence[Loop]) -> Table:
    """Each loop over each network."""
    rows = [
        (
            one.network,
            one.loop,
            tables.spread(_epoch(one.cpu), 2),
            tables.spread(_epoch(one.wall), 2),
            tables.spread(one.ours_over, 2),
        )
        for one in found
    ]
    head = ("network", "loop", "CPU s/epoch", "wall s/epoch", f"{OURS} over it, CPU")
    return Table("Loops, seconds for 60,000 images", head, rows, texts=2)


def steps(found: Sequence[Step]) -> Table:
    """Each way over each network."""
    rows = [
        (
            one.network,
            one.choices,
            tables.spread(_epoch(one.cpu), 2),
            tables.spread(one.faster, 2),
            f"{one.first_seconds:.1f}",
        )
        for one in found
    ]
    head = ("network", "step", "CPU s/epoch", "times as fast", "first step, s")
    return Table("Steps, seconds for 60,000 images", head, rows, texts=2)


def measured_on(found: TrainingResult) -> str:
    """Machine, versions, and what else went on."""
    machine = found.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    missing = "".join(f"\n{name}: not measured: {why}" for name, why in found.missing.items())
    return (
        f"{machine.date}, commit {machine.commit}, one thread on {machine.cores} cores of "
        f"{machine.processor}\nPython {machine.python}, {versions}\n"
        f"Load average at the start {machine.load_average:.1f}; meanwhile other processes took "
        f"{found.disturbance.others:.0f} % of a core{missing}"
    )


def write(found: TrainingResult, path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(result.dumps(found))


def read(path: Path) -> TrainingResult:
    """What `write` wrote.

    Raises:
        ResultError: it is no such file.
    """
    return result.parse(path, TrainingResult, _COMMAND)


def tables_of(found: TrainingResult) -> tuple[Table, Table]:
    """Its tables, the loops first."""
    return loops(found.loops), steps(found.steps)


def _epoch(step: Spread) -> Spread:
    """Milliseconds for a step of 128 images → seconds for an epoch of 60,000."""
    times = IMAGES / 128 / 1000
    return Spread(step.median * times, step.low * times, step.high * times, step.count)
