"""Shows a comparison of runs: as a table on the console, as JSON, as a page with their curves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.reports.comparison import Comparison, Figure, Mark
from training.reports.curves import draw_stroke
from training.reports.page import curves, plot, render
from training.reports.run_record import Record
from training.text import duration, measured, plain, setting
from training.workdir import write_bytes

_SIGNS = {"best": " ★", "draw": " ≈", None: ""}
_LEGEND = (
    "★ the best; ≈ within two standard errors of it, so this metric can't distinguish the "
    "two. Without a standard error only the best is marked."
)


def to_document(comparison: Comparison) -> dict[str, object]:
    """All of it, to be written as JSON."""
    runs = enumerate(comparison.runs.items())
    return {
        "runs": [_run(comparison, number, name, record) for number, (name, record) in runs],
        "incomparable": list(comparison.incomparable),
    }


def print_table(comparison: Comparison, console: Console) -> None:
    """A column for each run."""
    shown = Table("", box=None)
    for run in comparison.runs:
        shown.add_column(plain(run))
    for name, cells in _rows(comparison):
        shown.add_row(*map(plain, (name, *cells)))
    console.print(shown)
    for line in _notes(comparison):
        console.print(plain(line), highlight=False, soft_wrap=True, style="dim")


def write_page(comparison: Comparison, path: Path) -> None:
    """The table and the curves of all runs, as one HTML page.

    Raises:
        DiskError: the page can't be written.
    """
    content = render(
        "comparison.html",
        names=list(comparison.runs),
        rows=list(_rows(comparison)),
        best=_SIGNS["best"],
        notes=list(_notes(comparison)),
        strokes=[plot(draw_stroke(number), "") for number in range(len(comparison.runs))],
        plots=curves({name: record.log for name, record in comparison.runs.items()}),
    )
    write_bytes(path, content)


def _run(comparison: Comparison, number: int, name: str, record: Record) -> dict[str, object]:
    return {
        "name": name,
        "finished": record.finished,
        "epochs": record.epochs,
        "total_epochs": record.total_epochs,
        "seconds": record.last.get("seconds"),
        "cpu_seconds": record.last.get("cpu_seconds"),
        "differing_settings": {key: row[number] for key, row in comparison.settings.items()},
        "figures": {
            key: {
                "value": figure.value,
                "standard_error": figure.standard_error,
                "mark": comparison.marks[key][number],
            }
            for key, row in comparison.figures.items()
            if (figure := row[number]) is not None
        },
    }


def _rows(comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    """Each row's heading and cells."""
    records = list(comparison.runs.values())
    yield "epochs", [record.progress for record in records]
    for name, key in (("time", "seconds"), ("processor time", "cpu_seconds")):
        yield name, [duration(one.last[key]) if key in one.last else "–" for one in records]
    for key, row in comparison.settings.items():
        yield key, [setting(value) for value in row]
    for name, figures in comparison.figures.items():
        marked = zip(figures, comparison.marks[name], strict=True)
        yield name.replace("_", " "), [_cell(figure, mark) for figure, mark in marked]


def _cell(figure: Figure | None, mark: Mark | None) -> str:
    if figure is None:
        return "–"
    return measured(figure.value, figure.standard_error) + _SIGNS[mark]


def _notes(comparison: Comparison) -> Iterator[str]:
    yield _LEGEND
    if comparison.incomparable:
        names = ", ".join(name.replace("_", " ") for name in comparison.incomparable)
        yield (
            "Not compared, as the runs were measured on different images or bits, or with other "
            f"numbers of samples: {names}."
        )
