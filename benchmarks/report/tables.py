"""Figures as tables of text, for the terminal and for documents alike."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.load.mixed import Mixed
from benchmarks.load.open_loop import OpenLoop
from benchmarks.measure.comparison import Cell, Unanswered
from benchmarks.measure.engine_alone import SET_UPS, Ceiling
from benchmarks.measure.footprint import Footprint
from benchmarks.measure.png_alone import Coding
from benchmarks.measure.starts import Starts
from benchmarks.measure.statistics import Spread
from benchmarks.report.result import BundleResult
from benchmarks.report.targets import Verdict

_MB = 1e6
_NOTHING = "–"
_COST = 16
"""Connections at which a request's CPU is compared, and at more of them the rate."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as long as the head; the first `texts` columns say what the others measure."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: int = 1


def of_bundle(figures: BundleResult) -> Iterator[Table]:
    """All tables of one bundle, some perhaps without rows."""
    yield loads(figures.cells)
    yield unanswered(figures.unanswered)
    yield open_loops(figures.open_loops)
    yield mixed(figures.mixed)
    yield starts(figures.starts)
    yield at_rest(figures.footprints, figures.loaded_pss)
    for graph in ("decoder", "encoder"):
        yield engine(figures.ceilings, graph)
    yield pngs(figures.codings)


def loads(cells: Sequence[Cell]) -> Table:
    """Every system under every load."""
    rows = [
        (
            one.workload,
            one.system,
            str(one.connections),
            spread(one.cpu, 0),
            spread(one.beyond_engine, 0),
            spread(one.requests_per_second, 0),
            spread(one.ours_over, 2),
            median(one.p50, 2),
            median(one.p99, 2),
            str(one.errors),
        )
        for one in cells
    ]
    head = (
        *("workload", "system", "conn.", "CPU µs a request", "beyond the engine's"),
        *("requests/s", "ours over it", "p50 ms", "p99 ms", "errors"),
    )
    return Table("All loads", head, rows, texts=2)


def unanswered(found: Sequence[Unanswered]) -> Table:
    """Who was too slow for which load."""
    rows = [(one.workload, one.system, str(one.connections), f"{one.seconds:g}") for one in found]
    head = ("workload", "system", "conn.", "seconds without an answer")
    return Table("Loads without a response in one of the rounds", head, rows, texts=2)


def summary(cells: Sequence[Cell]) -> Table:
    """The first figures of the two verbs that people ask for most, a row for each system."""
    chosen = (("/sample n=1", 16), ("/sample n=1", 64), ("/reconstruct", 16), ("/reconstruct", 64))
    found = {(one.system, one.workload, one.connections): one for one in cells}
    rows = []
    for system in dict.fromkeys(one.system for one in cells):
        row = [system]
        for workload, connections in chosen:
            cell = found.get((system, workload, connections))
            if connections == _COST:
                row.append(median(cell.cpu, 0) if cell else _NOTHING)
                row.append(median(cell.beyond_engine, 0) if cell else _NOTHING)
            else:
                row.append(median(cell.requests_per_second, 0) if cell else _NOTHING)
                row.append(spread(cell.ours_over, 2) if cell else _NOTHING)
        rows.append(tuple(row))
    head = ["system"]
    for workload, connections in chosen:
        head += (
            [f"{workload}, CPU µs", "beyond the engine's"]
            if connections == _COST
            else [f"{workload}, requests/s", "ours over it"]
        )
    return Table("At a glance", tuple(head), rows)


def open_loops(levels: Sequence[OpenLoop]) -> Table:
    """Fixed rates of arrivals."""
    rows = [
        (
            one.system,
            one.workload,
            f"{one.part:.0%}",
            median(one.rate, 0),
            spread(one.p50, 2),
            spread(one.p99, 2),
            median(one.service_time, 2),
            spread(one.p99_over_service_time, 1),
            f"{one.errors} of {one.requests}",
            median(one.client_cpu, 0),
            median(one.capacity, 0),
            median(one.wrk_capacity, 0),
        )
        for one in levels
    ]
    head = (
        *("system", "workload", "of capacity", "requests/s", "p50 ms", "p99 ms"),
        *("service time ms", "p99 over it", "errors", "client's CPU µs"),
        *("capacity", "by wrk"),
    )
    return Table("Fixed arrival rates, latency from when a request was due", head, rows, texts=2)


def mixed(found: Sequence[Mixed]) -> Table:
    """Small requests beside a large one."""
    rows = [
        (
            one.system,
            spread(one.p99_alone, 1),
            spread(one.p99_beside, 1),
            spread(one.p99_ratio, 2),
            median(one.requests_per_second_alone, 0),
            median(one.requests_per_second_beside, 0),
            median(one.large_p50, 0),
            str(one.errors),
        )
        for one in found
    ]
    names = f"16 clients of {found[0].small}, one of {found[0].large}" if found else ""
    head = (
        *("system", "p99 alone ms", "p99 beside ms", "ratio", "requests/s alone"),
        *("requests/s beside", "large p50 ms", "errors"),
    )
    return Table(f"Small requests beside large ones: {names}", head, rows)


def starts(found: Sequence[Starts]) -> Table:
    """How alike starts are."""
    rows = [
        (
            one.system,
            one.workload,
            str(one.connections),
            str(len(one.requests_per_second)),
            f"{min(one.requests_per_second):.0f}",
            f"{statistics.median(one.requests_per_second):.0f}",
            f"{max(one.requests_per_second):.0f}",
            f"{one.lowest_over_median:.2f}",
        )
        for one in found
    ]
    head = (
        *("system", "workload", "conn.", "starts", "lowest requests/s", "median", "highest"),
        "lowest over median",
    )
    return Table("Repeated starts", head, rows, texts=2)


def at_rest(footprints: Sequence[Footprint], loaded_pss: dict[str, int]) -> Table:
    """Start, memory and idle CPU."""
    rows = [
        (
            one.system,
            spread(one.seconds_to_ready, 2),
            spread(one.seconds_to_first_answer, 2),
            spread(one.idle_cpu, 2),
            f"{one.pss.median / _MB:.0f}",
            f"{one.rss.median / _MB:.0f}",
            f"{loaded_pss[one.system] / _MB:.0f}" if one.system in loaded_pss else _NOTHING,
        )
        for one in footprints
    ]
    head = (
        *("system", "ready s", "first answer s", "idle CPU %", "PSS MB", "RSS MB"),
        "PSS MB after the loads",
    )
    return Table("Start, memory and idle CPU", head, rows)


def engine(ceilings: Sequence[Ceiling], graph: str) -> Table:
    """onnxruntime alone, by batch size and set-up."""
    found = {(one.batch, one.sessions, one.threads): one for one in ceilings if one.graph == graph}
    rows = [
        (
            f"batch {batch}",
            *(
                f"{one.images_per_second.median:.0f} ({one.cpu.median:.0f} µs)"
                for one in (found[batch, *set_up] for set_up in SET_UPS)
            ),
        )
        for batch in sorted({batch for batch, _, _ in found})
    ]
    head = (
        graph,
        *(f"{sessions} session{'s' * (sessions > 1)} × {threads}" for sessions, threads in SET_UPS),
    )
    return Table(f"onnxruntime alone: {graph}, images/s (CPU of an image)", head, rows)


def pngs(codings: Sequence[Coding]) -> Table:
    """PNG files without a server."""
    rows = [(one.name, spread(one.cpu, 1), str(one.bytes)) for one in codings]
    return Table("PNG alone", ("", "CPU µs", "bytes"), rows)


def bars(verdicts: Sequence[Verdict]) -> Table:
    """What the service is held to."""
    rows = [
        (
            one.bundle,
            one.what,
            f"{one.sign} {one.limit:g} {one.unit}".rstrip(),
            f"{one.aim:g}" if one.aim is not None else "",
            spread(one.measured, 2 if one.measured.median < 100 else 0),
            ("met, aim too" if one.aim_met else "met") if one.met else "MISSED",
        )
        for one in verdicts
    ]
    return Table("Bars", ("bundle", "what", "bar", "aim", "measured", "verdict"), rows, texts=2)


def spread(value: Spread | None, digits: int) -> str:
    """Median [lowest … highest]; the median alone of a single measurement."""
    if value is None:
        return _NOTHING
    if value.count == 1:
        return f"{value.median:.{digits}f}"
    return f"{value.median:.{digits}f} [{value.low:.{digits}f} … {value.high:.{digits}f}]"


def median(value: Spread | None, digits: int) -> str:
    """The median alone."""
    return _NOTHING if value is None else f"{value.median:.{digits}f}"
