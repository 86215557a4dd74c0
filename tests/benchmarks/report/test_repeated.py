"""Two runs are compared by their ratios."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measure.statistics import Statistics
from benchmarks.report import repeated, result
from tests.benchmarks import figures


def test_ranges_that_meet_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run agrees with itself, and differs from another one in one ratio."""
    one, other = figures.result(), figures.result()
    cells = other.bundles["heavy"].cells
    moved = next(cell for cell in cells if cell.system == "LitServe")
    cells[cells.index(moved)] = replace(moved, ours_over=Statistics(9, 8, 10, 3))
    paths = []
    for name, measured in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        paths.append(str(result.write(measured, tmp_path / name)))
    assert repeated.main([paths[0], paths[0]]) == 0
    assert repeated.main(paths) == 1
    printed = capsys.readouterr().out
    assert printed.count("APART") == 1
    assert "8.00…10.00" in printed


def test_only_what_both_measured_is_compared() -> None:
    """A run of one bundle is compared with the same bundle of the other."""
    one = figures.result()
    part = replace(one, bundles={"small": one.bundles["small"]})
    assert {pair.key[0] for pair in repeated.pairs(one, part)} == {"small"}
