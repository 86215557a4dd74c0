"""`python -m benchmarks.report.repeated one.json other.json`: do two runs find the same ratios?

Two ratios are the same when their ranges over the rounds meet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure.statistics import Spread
from benchmarks.report import report, result, tables
from benchmarks.report.result import Result, ResultError
from benchmarks.report.tables import Table

Key = tuple[str, str, int, str]
"""(bundle, workload, connections, system)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours over one system under one load, in two runs."""

    key: Key
    first: Spread
    second: Spread

    @property
    def same(self) -> bool:
        """Whether the ranges meet."""
        return self.first.low <= self.second.high and self.second.low <= self.first.high


def pairs(first: Result, second: Result) -> list[Pair]:
    """What both runs measured, in the first one's order."""
    ratios, others = _ratios(first), _ratios(second)
    return [Pair(key, ratio, others[key]) for key, ratio in ratios.items() if key in others]


def _ratios(measured: Result) -> dict[Key, Spread]:
    return {
        (bundle, cell.workload, cell.connections, cell.system): cell.ours_over
        for bundle, figures in measured.bundles.items()
        for cell in figures.cells
        if cell.ours_over is not None
    }


def table(found: Sequence[Pair]) -> Table:
    """A row for each pair."""
    rows = [
        (
            *(one.key[0], one.key[1], one.key[3], str(one.key[2])),
            tables.spread(one.first, 2),
            tables.spread(one.second, 2),
            "same" if one.same else "APART",
        )
        for one in found
    ]
    head = ("bundle", "workload", "system", "conn.", "first", "second", "")
    return Table("Ours over each system, in two runs", head, rows, texts=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the pairs; 1 when some are apart, or a result can't be read."""
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
    print(report.text(table(found)))
    print(f"\n{len(found) - apart} of {len(found)} ratios are the same")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
