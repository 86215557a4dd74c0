"""What a sweep found: a table, summary.json, and the command of the best trial."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.config.overrides import Override
from training.sweep.spec import Settings, Sweep
from training.text import plain
from training.workdir import write_json


@dataclass(frozen=True)
class Ended:
    """A trial that need not be made again."""

    name: str
    """Its workdir is `trials/NAME`."""
    settings: Settings
    """What was varied."""
    state: str
    """`complete`, `pruned` or `fail`."""
    bound: float | None
    """The sweep's objective, in nats; None if the trial was pruned or failed."""
    epochs: int
    reason: str | None
    """Why it failed."""


def write_summary(path: Path, sweep: Sweep, ended: Sequence[Ended]) -> None:
    """Writes all trials, the best first; errors as for `write_json`."""
    trials = [asdict(one) for one in ended]
    best = trials[0] if ended and ended[0].bound is not None else None
    write_json(path, {"objective": sweep.objective, "best": best, "trials": trials})


def show(
    console: Console, sweep: Sweep, ended: Sequence[Ended], overrides: Sequence[Override]
) -> None:
    """Prints the table, and what to run next."""
    keys = list(dict.fromkeys(key for one in ended for key in one.settings))
    table = Table("trial", sweep.objective.replace("_", " "), "epochs")
    for key in keys:
        table.add_column(plain(key))
    for one in ended:
        figure = one.state if one.bound is None else f"{one.bound:.2f}"
        values = [
            plain(json.dumps(one.settings[key]) if key in one.settings else "") for key in keys
        ]
        table.add_row(one.name, figure, str(one.epochs), *values)
    console.print(table)
    if not ended or ended[0].bound is None:
        console.print("no trial finished", style="yellow")
        return
    command = shlex.join(["vaetrain", "run", *sweep.command(ended[0].settings, overrides)])
    console.print(plain(f"the best one, on all images: {command}"), soft_wrap=True)
