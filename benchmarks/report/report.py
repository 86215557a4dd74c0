"""A run's result as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report import tables
from benchmarks.report.result import Result
from benchmarks.report.targets import Verdict


def render(result: Result, verdicts: Sequence[Verdict]) -> str:
    """The whole result; values are medians, [lowest…highest]."""
    sections = [measured_on(result)]
    for name, figures in result.bundles.items():
        sections.append(f"=== Bundle {name}")
        shown = (table for table in tables.of_bundle(figures) if table.rows)
        sections.extend(f"{table.title}\n\n{table.text()}" for table in shown)
    sections += ["=== Targets", tables.targets(verdicts).text()]
    sections.append("\n".join(f"{name}: {chosen}" for name, chosen in result.settings.items()))
    sections.extend(f"{name}: {why}" for name, why in missing(result))
    return "\n\n".join(section for section in sections if section)


def missing(result: Result) -> Iterator[tuple[str, str]]:
    """(system, reason) for each system that was not measured, or not in all parts."""
    partly = {
        one.system
        for figures in result.bundles.values()
        for group in (figures.cells, figures.footprints)
        for one in group
    }
    for name, why in result.missing.items():
        yield name, f"measured in part: {why}" if name in partly else f"not measured: {why}"


def measured_on(result: Result) -> str:
    """Machine, versions, other load, and why an unfinished run ended, one line each."""
    machine, found = result.machine, result.disturbance
    lines = [
        f"{machine.date}, commit {machine.commit}, {machine.cores} cores of {machine.processor}",
        machine.versions,
    ]
    if found is not None:
        lines.append(
            f"Meanwhile other processes took {found.others:.0f} % of a core and the hypervisor "
            f"{found.stolen:.0f} %"
        )
    if result.ended_early:
        measured = "; ".join(
            f"{name}: {', '.join(figures.parts) or 'nothing'}"
            for name, figures in result.bundles.items()
        )
        lines += [f"The run ended early: {result.ended_early}", f"Measured to its end: {measured}"]
    return "\n".join(lines)
