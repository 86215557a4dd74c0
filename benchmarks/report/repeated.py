"""`python -m benchmarks.report.repeated one.json other.json`: compares the ratios of two runs.

Two ratios are the same if their ranges over the rounds overlap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure.statistics import Statistics
from benchmarks.report import result, tables
from benchmarks.report.result import Result, ResultError
from benchmarks.report.tables import Table

Key = tuple[str, str, str, int]
"""(bundle, workload, system, connections)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The ratio of this service to one system under one load, in two runs."""

    key: Key
    first: Statistics
    second: Statistics

    @property
    def same(self) -> bool:
        """Whether the ranges overlap."""
        return self.first.low <= self.second.high and self.second.low <= self.first.high


def pairs(first: Result, second: Result) -> list[Pair]:
    """The ratios that both runs measured, in the order of the first."""
    ratios, others = _ratios(first), _ratios(second)
    return [Pair(key, ratio, others[key]) for key, ratio in ratios.items() if key in others]


def _ratios(measured: Result) -> dict[Key, Statistics]:
    return {
        (bundle, cell.workload, cell.system, cell.connections): cell.ours_over
        for bundle, figures in measured.bundles.items()
        for cell in figures.cells
        if cell.ours_over is not None
    }


def table(found: Sequence[Pair]) -> Table:
    """A row for each pair."""
    rows = [
        {
            **dict(zip(("bundle", "workload", "system", "conn."), map(str, one.key), strict=True)),
            "first": tables.interval(one.first, 2),
            "second": tables.interval(one.second, 2),
            "": "same" if one.same else "APART",
        }
        for one in found
    ]
    return Table("Ours over each system, in two runs", rows, texts=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the pairs; returns 1 if a ratio differs or a result is unreadable."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report.repeated", description=__doc__
    )
    parser.add_argument("results", nargs=2, type=Path, metavar="result.json")
    options = parser.parse_args(arguments)
    try:
        found = pairs(*map(result.read, options.results))
    except ResultError as error:
        print(f"repeated: {error}", file=sys.stderr)
        return 1
    apart = sum(not one.same for one in found)
    print(table(found).text())
    print(f"\n{len(found) - apart} of {len(found)} ratios are the same")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
