"""The command line of `check`, and how its outcome is told."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.config.overrides import Override, add_set
from training.config.presets import preset_names, read_config
from training.errors import DataError
from training.text import duration, plain, printable

if TYPE_CHECKING:
    from training.check.check import Checked, Cost
    from training.check.inspection import Survey

_MOST = 5


HELP = "look at images before training: what is seen, odd, refused, and what it costs"


def add(command: argparse.ArgumentParser) -> None:
    """Adds the options to the command's parser."""
    presets = ", ".join(preset_names())
    command.add_argument("data", metavar="DATA", help="hub name, folder or parquet files")
    command.add_argument(
        "--preset", default="pictures", help=f"one of {presets}, or a TOML file (pictures)"
    )
    command.add_argument(
        "--out", type=Path, default=Path("runs/check"), help="folder for the contact sheet"
    )
    command.add_argument("--json", action="store_true", help="answer as JSON, for machines")
    add_set(command)


def run(options: argparse.Namespace) -> None:
    """Checks, and prints the outcome.

    Raises:
        DataError: a run with these settings and images would be refused.
        TrainingError: as for `check`.
    """
    # Imported late, as torch takes seconds and `--help` should not.
    from training.check.check import check

    source = Override("data.source", options.data, options.data)
    config = read_config(options.preset, [*options.set, source])
    checked = check(config, options.out)
    if options.json:
        print(json.dumps(checked.document(), indent=2, ensure_ascii=False))  # noqa: T201
    else:
        _print(checked, Console(highlight=False, soft_wrap=True))
    if checked.problems:
        msg = f"{options.data}: a run would be refused: {'; '.join(checked.problems)}"
        raise DataError(msg)


def _print(checked: Checked, console: Console) -> None:
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
        f"Memory: about {cost.memory.describe()}; {cost.free / 2**30:.1f} GiB are free\n"
        f"Time: {cost.steps} steps of {cost.seconds_per_step:.3g} s, about "
        f"{duration(60 * cost.minutes)} on this {cost.device} with {cost.threads} threads in "
        f"{cost.precision}"
    )
