"""The charts of docs/performance.md, as SVG files.

Colours are of middle lightness on a transparent background, because a page may show them on white
or on black.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure.comparison import ENGINE, Cell
from benchmarks.measure.statistics import Statistics
from benchmarks.report.result import Result
from benchmarks.servers import fastapi_floor
from benchmarks.servers.ours import OURS

_THROUGHPUT, _COST = 64, 16
_VERBS = ("/sample n=1", "/reconstruct")
_TEXT, _OURS, _OTHERS = "#737c86", ("#2f81c7", "#8fb8dc"), ("#8a8f98", "#b9bec6")
_WIDTH, _ROW = 10.5, 0.34
_STYLE: dict[Any, Any] = {
    # Text stays text and names of elements are fixed, so that the same result gives the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "vaeserve",
    "font.size": 11,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a panel: a median with its range."""

    label: str
    value: Statistics
    text: str
    """What is written beside the bar."""
    ours: bool = False
    beyond: float = 0.0
    """The part of the median that is drawn in a lighter colour."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars over one axis."""

    title: str
    unit: str
    bars: Sequence[Bar]


def draw(result: Result) -> Mapping[str, str]:
    """The SVG files by name, without those for which nothing was measured."""
    charts = {
        "requests.svg": ("Requests per second", list(_requests(result))),
        "cpu.svg": ("Server CPU per request", list(_cpu(result))),
        "fixed-rates.svg": ("Latency at fixed rates of arrivals", list(_fixed_rates(result))),
    }
    return {name: _svg(title, panels) for name, (title, panels) in charts.items() if panels}


def figure_of(panels: Sequence[Panel]) -> Figure:
    """Draws the panels below each other."""
    rows = [len(panel.bars) + 2.5 for panel in panels]
    figure = Figure(figsize=(_WIDTH, _ROW * sum(rows)), layout="constrained")
    grid = figure.subplots(len(panels), squeeze=False, gridspec_kw={"height_ratios": rows})
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        _draw_panel(axes, panel)
    return figure


def _svg(title: str, panels: Sequence[Panel]) -> str:
    file = io.StringIO()
    with mpl.rc_context(_STYLE):
        metadata = {"Title": title, "Date": None, "Creator": None}
        figure_of(panels).savefig(file, format="svg", transparent=True, metadata=metadata)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for row, bar in enumerate(panel.bars):
        value, (dark, light) = bar.value, _OURS if bar.ours else _OTHERS
        axes.barh(row, value.median - bar.beyond, 0.62, color=dark)
        axes.barh(row, bar.beyond, 0.62, left=value.median - bar.beyond, color=light)
        axes.plot((value.low, value.high), (row, row), "|-", color=_TEXT, linewidth=1)
        axes.annotate(
            bar.text,
            (value.high, row),
            (8, 0),
            textcoords="offset points",
            verticalalignment="center",
            weight="bold" if bar.ours else "normal",
        )
    axes.set_yticks(range(len(panel.bars)), [bar.label for bar in panel.bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(bar.value.high for bar in panel.bars) or 1)
    axes.set_title(panel.title, loc="left", weight="bold", fontsize=12)
    axes.set_xlabel(panel.unit, loc="right")
    axes.set_frame_on(False)
    axes.grid(axis="x", alpha=0.4)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _requests(result: Result) -> Iterator[Panel]:
    for name, verb, cells in _cells(result, _THROUGHPUT):
        bars = []
        for one in cells:
            rate, over = one.requests_per_second, one.ours_over
            text = f"{rate.median:.0f}" + (f" (ours {over.median:.2f}×)" if over else "")
            bars.append(Bar(one.system, rate, text, ours=over is None))
        if len(bars) > 1:
            title = f"{verb}, {name} model, {_THROUGHPUT} connections"
            yield Panel(title, "requests/s", bars)


def _cpu(result: Result) -> Iterator[Panel]:
    for name, verb, cells in _cells(result, _COST):
        bars = []
        for one in cells:
            if one.beyond_engine is not None:
                beyond = min(max(0.0, one.beyond_engine.median), one.cpu.median)
                text = f"{one.cpu.median:.0f}, {beyond:.0f} beyond"
                bars.append(Bar(one.system, one.cpu, text, one.system == OURS, beyond))
        if len(bars) > 1:
            title = f"{verb}, {name} model, {_COST} connections: the network, and beyond"
            yield Panel(title, "µs of CPU for each request", bars)


def _fixed_rates(result: Result) -> Iterator[Panel]:
    for name, figures in result.bundles.items():
        bars = [
            Bar(
                f"{level.rate.median:.0f}/s ({level.part:.0%}), {label}",
                latency,
                f"{latency.median:.1f}",
                ours=label == "p50",
            )
            for level in figures.open_loops
            if level.system == OURS
            for label, latency in (("p50", level.p50), ("p99", level.p99))
        ]
        if bars:
            title = f"/sample n=1, {name} model, at parts of capacity"
            yield Panel(title, "ms from when a request was due", bars)


def _cells(result: Result, connections: int) -> Iterator[tuple[str, str, list[Cell]]]:
    """(bundle, workload, every server's cell) at one number of connections."""
    for name, figures in result.bundles.items():
        servers = [one for one in figures.cells if one.system not in (ENGINE, fastapi_floor.NAME)]
        for verb in _VERBS:
            load = (verb, connections)
            yield name, verb, [one for one in servers if (one.workload, one.connections) == load]
