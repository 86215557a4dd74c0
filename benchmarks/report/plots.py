"""What the charts of docs/performance.md show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.measure.comparison import ENGINE, Cell
from benchmarks.measure.statistics import Spread
from benchmarks.report.charts import Bar, Panel, svg
from benchmarks.report.result import BundleResult, Result
from benchmarks.report.targets import OURS
from benchmarks.servers import fastapi_floor

_THROUGHPUT, _COST = 64, 16
_VERBS = ("/sample n=1", "/reconstruct")


def draw(result: Result) -> Mapping[str, str]:
    """By file name, the SVG files; those of which nothing was measured are left out."""
    panels = {
        "requests.svg": ("Requests per second", _requests(result)),
        "cpu.svg": ("Server CPU per request", _cpu(result)),
        "fixed-rates.svg": ("Latency at fixed rates of arrivals", _fixed_rates(result)),
    }
    drawn = {name: (title, list(found)) for name, (title, found) in panels.items()}
    return {name: svg(title, found) for name, (title, found) in drawn.items() if found}


def _requests(result: Result) -> Iterator[Panel]:
    for name, verb, cells in _cells(result, _THROUGHPUT):
        bars = [
            _bar(one.system, one.requests_per_second, f"{one.requests_per_second.median:.0f}", one)
            for one in cells
            if one.system not in (ENGINE, fastapi_floor.NAME)
        ]
        if len(bars) > 1:
            title = f"{verb}, {name} model, {_THROUGHPUT} connections"
            yield Panel(title, "requests/s", tuple(bars))


def _cpu(result: Result) -> Iterator[Panel]:
    for name, verb, cells in _cells(result, _COST):
        bars = []
        for one in cells:
            if one.system in (ENGINE, fastapi_floor.NAME) or one.beyond_engine is None:
                continue
            beyond = max(0.0, one.beyond_engine.median)
            engine = max(0.0, one.cpu.median - beyond)
            value = f"{one.cpu.median:.0f}, {beyond:.0f} beyond"
            cpu = one.cpu
            ours = one.system == OURS
            bars.append(Bar(one.system, (engine, beyond), cpu.low, cpu.high, value, ours))
        if len(bars) > 1:
            title = f"{verb}, {name} model, {_COST} connections: the network, and beyond"
            yield Panel(title, "µs of CPU for each request", tuple(bars))


def _fixed_rates(result: Result) -> Iterator[Panel]:
    for name, figures in result.bundles.items():
        bars = []
        for level in figures.open_loops:
            if level.system != OURS:
                continue
            for label, latency in (("p50", level.p50), ("p99", level.p99)):
                text = f"{latency.median:.1f}"
                row = f"{level.rate.median:.0f}/s ({level.part:.0%}), {label}"
                bars.append(
                    Bar(row, (latency.median,), latency.low, latency.high, text, label == "p50")
                )
        if bars:
            title = f"/sample n=1, {name} model, at parts of capacity"
            yield Panel(title, "ms from when a request was due", tuple(bars))


def _cells(result: Result, connections: int) -> Iterator[tuple[str, str, list[Cell]]]:
    for name, figures in result.bundles.items():
        for verb in _VERBS:
            yield name, verb, _at(figures, verb, connections)


def _at(figures: BundleResult, workload: str, connections: int) -> list[Cell]:
    wanted = (workload, connections)
    return [one for one in figures.cells if (one.workload, one.connections) == wanted]


def _bar(label: str, value: Spread, text: str, cell: Cell) -> Bar:
    shown = text if cell.ours_over is None else f"{text} (ours {cell.ours_over.median:.2f}×)"
    return Bar(label, (value.median,), value.low, value.high, shown, cell.ours_over is None)
