"""The outcome of `vaetrain check`, as text for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.check.check import Checked, Cost
from training.check.inspection import Survey
from training.text import duration, plain, printable

_MOST = 5


def show(checked: Checked, console: Console) -> None:
    """Prints tables of the images, the advice, the cost and the contact sheet's path."""
    for found in checked.surveys:
        console.print(_table(found))
    if checked.overlap:
        console.print(f"{checked.overlap} test images are training images too", style="yellow")
    console.print(plain(f"Likelihood: {checked.likelihood}"))
    if checked.settings:
        console.print(plain("  " + " ".join(f"--set {one}" for one in checked.settings)))
    if checked.counts:
        console.print("A run has " + ", ".join(f"{n} {name}" for name, n in checked.counts.items()))
    if checked.cost:
        console.print(_cost(checked.cost))
    if checked.sheet:
        console.print(plain(f"What the encoder will see: {checked.sheet}"))


def _table(found: Survey) -> Table:
    table = Table("", "", title=plain(f"{found.split}: {found.count} images"), show_header=False)
    table.add_row("modes", plain(_common(found.modes)))
    table.add_row("sizes", plain(_common(found.sizes)))
    if found.constant_pixels:
        table.add_row("values that never change", str(found.constant_pixels))
    for what, finding in found.findings.items():
        examples = "\n".join(map(printable, finding.examples))
        table.add_row(Text(what, "yellow"), plain(f"{finding.count}\n{examples}".strip()))
    return table


def _common(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    others = [f"{len(ordered) - _MOST} others"] if len(ordered) > _MOST else []
    return ", ".join([f"{name} ({count})" for name, count in ordered[:_MOST]] + others)


def _cost(cost: Cost) -> str:
    return (
        f"Memory: {cost.memory.peak / 2**30:.1f} GiB at peak with {cost.memory.parameters} "
        f"parameters; {cost.free / 2**30:.1f} GiB are free\n"
        f"Time: {cost.steps} steps of {cost.seconds_per_step:.3g} s, about "
        f"{duration(60 * cost.minutes)} on this {cost.device} with {cost.threads} threads in "
        f"{cost.precision}"
    )
