"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.measure.machine import Disturbance
from benchmarks.report import tables
from benchmarks.report.result import BundleResult, Result
from benchmarks.report.tables import Table
from benchmarks.report.targets import Verdict


def render(result: Result, verdicts: Sequence[Verdict]) -> str:
    """The whole result as plain text; figures are medians, [lowest … highest]."""
    sections = [measured_on(result)]
    for name, figures in result.bundles.items():
        sections.append(f"=== Bundle {name}")
        sections.extend(_titled(figures))
    sections.append("=== Bars")
    sections.append(text(tables.bars(verdicts)))
    sections.append("\n".join(f"{name}: {chosen}" for name, chosen in result.settings.items()))
    sections.extend(f"{name}: {why}" for name, why in missing(result))
    return "\n\n".join(section for section in sections if section)


def missing(result: Result) -> Iterator[tuple[str, str]]:
    """(system, what of it is not there) for each that is not, or not in all parts."""
    partly = set[str]()
    for figures in result.bundles.values():
        partly.update(one.system for one in figures.cells)
        partly.update(one.system for one in figures.footprints)
    for name, why in result.missing.items():
        yield name, f"measured in part: {why}" if name in partly else f"not measured: {why}"


def measured_on(result: Result) -> str:
    """Machine, versions, and what else went on, in three lines; two more of an unfinished run.

    What else went on is not known of one that is under way.
    """
    machine = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    return (
        f"{machine.date}, commit {machine.commit}, {machine.cores} cores of {machine.processor}\n"
        f"Python {machine.python}, {versions}"
        f"{_disturbed(result.disturbance)}{_unfinished(result)}"
    )


def _disturbed(found: Disturbance | None) -> str:
    if found is None:
        return ""
    return (
        f"\nMeanwhile other processes took {found.others:.0f} % of a core and the hypervisor "
        f"{found.stolen:.0f} %"
    )


def _unfinished(result: Result) -> str:
    if not result.ended_early:
        return ""
    measured = "; ".join(
        f"{name}: {', '.join(figures.parts) or 'nothing'}"
        for name, figures in result.bundles.items()
    )
    return f"\nThe run ended early: {result.ended_early}\nMeasured to its end: {measured}"


def text(table: Table) -> str:
    """Columns of equal width, words to the left and figures to the right."""
    lines = (table.head, *table.rows)
    widths = [max(len(row[column]) for row in lines) for column in range(len(table.head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < table.texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    ruler = "  ".join("-" * width for width in widths)
    return "\n".join([line(table.head), ruler, *map(line, table.rows)])


def _titled(figures: BundleResult) -> Iterator[str]:
    for table in tables.of_bundle(figures):
        if table.rows:
            yield f"{table.title}\n\n{text(table)}"
