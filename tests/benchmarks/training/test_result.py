"""A run's result in its file and its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure.machine import Disturbance, Machine
from benchmarks.measure.statistics import Statistics
from benchmarks.report.result import ResultError
from benchmarks.training import result
from benchmarks.training.result import Loop, Step, TrainingResult

ONE = Statistics(6.4, 3.2, 12.8, 3)
FOUND = TrainingResult(
    Machine("a processor", 2, "3.11", {"torch": "2"}, "abc", "2026-01-01", 0.1),
    Disturbance(50.0, 0.0),
    [Loop("tiny", "vaetrain", ONE, ONE, None), Loop("tiny", "pythae", ONE, ONE, ONE)],
    [Step("conv", "bfloat16", ONE, ONE, 2.5)],
    {"Lightning": "not installed"},
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What was written is read back; another file is refused."""
    path = tmp_path / "results" / "bench-train.json"
    result.write(FOUND, path)

    assert result.read(path) == FOUND
    path.write_text("{}")
    with pytest.raises(ResultError, match=r"not a result of `python -m benchmarks\.training`"):
        result.read(path)


def test_an_epoch_is_of_60000_images() -> None:
    """Milliseconds for 128 images are shown as seconds for 60,000: 6.4 ms are 3 s."""
    rows = result.loops(FOUND.loops).rows

    assert tuple(rows[0].values()) == (
        *("tiny", "vaetrain", "3.00 [1.50…6.00]", "3.00 [1.50…6.00]", "–"),
    )
    assert rows[1]["vaetrain over it, CPU"] == "6.40 [3.20…12.80]"
    assert result.steps(FOUND.steps).rows[0]["CPU s/epoch"] == "3.00 [1.50…6.00]"


def test_what_else_ran_is_said() -> None:
    """The head names date, commit, machine, what else ran, and what could not be measured."""
    shown = result.measured_on(FOUND)

    assert "2026-01-01, commit abc, one thread on 2 cores of a processor" in shown
    assert "other processes took 50 % of a core" in shown
    assert "Lightning: not measured: not installed" in shown
