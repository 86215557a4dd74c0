"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import tables
from benchmarks.bars import Verdict
from benchmarks.machine import Machine
from benchmarks.result import BundleResult, Result
from benchmarks.tables import Table


def render(result: Result, verdicts: Sequence[Verdict]) -> str:
    """The whole result as plain text; figures are medians, [lowest … highest]."""
    sections = [machine(result.machine)]
    for name, figures in result.bundles.items():
        sections.append(f"=== Bundle {name}")
        sections.extend(_titled(figures))
    sections.append("=== Bars")
    sections.append(text(tables.bars(verdicts)))
    sections.append("\n".join(f"{name}: {chosen}" for name, chosen in result.settings.items()))
    sections.extend(f"{name}: not measured: {why}" for name, why in result.missing.items())
    return "\n\n".join(section for section in sections if section)


def machine(described: Machine) -> str:
    """What it was measured on and with, in two lines."""
    versions = ", ".join(f"{name} {number}" for name, number in described.packages.items())
    return (
        f"{described.date}, commit {described.commit}, {described.cores} cores of "
        f"{described.processor}, load average {described.load_average:.1f}\n"
        f"Python {described.python}, {versions}"
    )


def text(table: Table) -> str:
    """Columns of equal width, the first to the left and the others to the right."""
    lines = (table.head, *table.rows)
    widths = [max(len(row[column]) for row in lines) for column in range(len(table.head))]

    def line(row: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *padded[1:]]).rstrip()

    ruler = "  ".join("-" * width for width in widths)
    return "\n".join([line(table.head), ruler, *map(line, table.rows)])


def _titled(figures: BundleResult) -> Iterator[str]:
    for table in tables.of_bundle(figures):
        if table.rows:
            yield f"{table.title}\n\n{text(table)}"
