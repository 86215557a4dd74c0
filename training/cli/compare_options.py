"""The options of `vaetrain compare`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "set runs side by side: settings that differ, times, figures with their errors, curves"


def add(command: argparse.ArgumentParser) -> None:
    """Adds them to the command."""
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with the curves")


def run(options: argparse.Namespace) -> None:
    """Compares the runs; errors as for `read_record` and `write_page`."""
    # Imported late, as drawing takes a second and `--help` should not.
    from rich.console import Console

    from training.reports import comparison, comparison_report
    from training.reports.run_record import read_record

    compared = comparison.compare([read_record(folder) for folder in options.runs])
    if options.json:
        print(json.dumps(comparison_report.to_document(compared), indent=2, ensure_ascii=False))  # noqa: T201
    else:
        console = Console()
        # A pipe has no width, and a table for a file should not be squeezed into 80 columns.
        width = None if console.is_terminal else 1000
        comparison_report.print_table(compared, Console(width=width))
    if options.html:
        comparison_report.write_page(compared, options.html)
