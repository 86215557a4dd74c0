"""What else the machine did meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmarks.measure.machine import Watch


def test_others_and_stolen_time_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In ten seconds all processes took 8 s of CPU, 2 of them this run's, and 1 s was stolen."""
    ticks = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    own = iter([(1.0, 0.0, 0.5, 0.0, 0.0), (1.5, 0.5, 1.0, 0.5, 0.0)])
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(os, "times", lambda: next(own))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    stat.write_text("cpu  10 10 10 999 999 10 10 0 0 0\ncpu0 1\n")
    watch = Watch(stat)
    more = " ".join(str(10 + part * ticks) for part in (4, 1, 1))
    stat.write_text(f"cpu  {more} 0 0 {10 + ticks} {10 + ticks} {ticks} 0 0\ncpu0 1\n")
    found = watch.disturbance()
    assert found.others == pytest.approx(60)
    assert found.stolen == pytest.approx(10)
