"""Measured values as tables of text, for the terminal and for documents."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load.mixed import Mixed
from benchmarks.load.open_loop import OpenLoop
from benchmarks.measure.comparison import Cell, Unanswered
from benchmarks.measure.engine_alone import SET_UPS, Ceiling
from benchmarks.measure.png_alone import Coding
from benchmarks.measure.starts import Footprint, Starts
from benchmarks.measure.statistics import Statistics
from benchmarks.report.result import BundleResult
from benchmarks.report.targets import Verdict

NOT_MEASURED = "Not measured."
_MB = 1e6
_MISSING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same columns; the first `texts` columns hold words, the others numbers."""

    title: str
    rows: Sequence[Mapping[str, str]]
    texts: int = 1

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the columns; empty if the table has no rows."""
        return tuple(self.rows[0]) if self.rows else ()

    def markdown(self) -> str:
        """The table as Markdown, words to the left and numbers to the right."""
        if not self.rows:
            return NOT_MEASURED
        ruler = ["---" if column < self.texts else "--:" for column in range(len(self.head))]
        cells = (self.head, ruler, *(row.values() for row in self.rows))
        return "\n".join(f"| {' | '.join(row)} |" for row in cells)

    def text(self) -> str:
        """The table in columns of equal width, words to the left and numbers to the right."""
        if not self.rows:
            return NOT_MEASURED
        lines = [self.head, *(tuple(row.values()) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

        def line(row: tuple[str, ...]) -> str:
            cells = [
                cell.ljust(width) if column < self.texts else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        ruler = "  ".join("-" * width for width in widths)
        return "\n".join([line(lines[0]), ruler, *map(line, lines[1:])])


def of_bundle(figures: BundleResult) -> Iterator[Table]:
    """All tables of one bundle; a table of a part that was not measured has no rows."""
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
    """Every system under every load; the first row of a load names it.

    The column of errors is there only if a request failed.
    """
    by_load: dict[tuple[str, int], list[Cell]] = {}
    for one in cells:
        by_load.setdefault((one.workload, one.connections), []).append(one)
    failed = any(one.errors for one in cells)
    rows = [
        {
            "workload, connections": f"{workload}, {connections}" if number == 0 else "",
            "system": one.system,
            "CPU µs a request": interval(one.cpu, 0),
            "beyond the engine's": median(one.beyond_engine, 0),
            "requests/s": interval(one.requests_per_second, 0),
            "ours over it": interval(one.ours_over, 2),
            "p99 ms": median(one.p99, 2),
        }
        | ({"errors": str(one.errors)} if failed else {})
        for (workload, connections), group in by_load.items()
        for number, one in enumerate(group)
    ]
    return Table("All loads", rows, texts=2)


def unanswered(found: Sequence[Unanswered]) -> Table:
    """The systems that sent no response under a load."""
    rows = [
        {
            "workload": one.workload,
            "system": one.system,
            "conn.": str(one.connections),
            "seconds without a response": f"{one.seconds:g}",
        }
        for one in found
    ]
    return Table("Loads without a response in one of the rounds", rows, texts=2)


def open_loops(levels: Sequence[OpenLoop]) -> Table:
    """Latency at fixed arrival rates."""
    rows = [
        {
            "system": one.system,
            "workload": one.workload,
            "of capacity": f"{one.part:.0%}",
            "requests/s": median(one.rate, 0),
            "p50 ms": interval(one.p50, 2),
            "p99 ms": interval(one.p99, 2),
            "service time ms": median(one.service_time, 2),
            "p99 over it": interval(one.p99_over_service_time, 1),
            "errors": f"{one.errors} of {one.requests}",
            "client's CPU µs": median(one.client_cpu, 0),
            "capacity": median(one.capacity, 0),
            "by wrk": median(one.wrk_capacity, 0),
        }
        for one in levels
    ]
    return Table("Fixed arrival rates, latency from when a request was due", rows, texts=2)


def mixed(found: Sequence[Mixed]) -> Table:
    """Small requests beside a large one."""
    rows = [
        {
            "system": one.system,
            "p99 alone ms": interval(one.p99_alone, 1),
            "p99 beside ms": interval(one.p99_beside, 1),
            "ratio": interval(one.p99_ratio, 2),
            "requests/s alone": median(one.requests_per_second_alone, 0),
            "requests/s beside": median(one.requests_per_second_beside, 0),
            "large p50 ms": median(one.large_p50, 0),
            "errors": str(one.errors),
        }
        for one in found
    ]
    names = f"16 clients of {found[0].small}, one of {found[0].large}" if found else ""
    return Table(f"Small requests beside large ones: {names}", rows)


def starts(found: Sequence[Starts]) -> Table:
    """How much the throughput of several starts differs."""
    rows = [
        {
            "system": one.system,
            "workload": one.workload,
            "conn.": str(one.connections),
            "starts": str(len(one.requests_per_second)),
            "lowest requests/s": f"{min(one.requests_per_second):.0f}",
            "median": f"{statistics.median(one.requests_per_second):.0f}",
            "highest": f"{max(one.requests_per_second):.0f}",
            "lowest over median": f"{one.lowest_over_median:.2f}",
        }
        for one in found
    ]
    return Table("Repeated starts", rows, texts=2)


def at_rest(footprints: Sequence[Footprint], loaded_pss: Mapping[str, int]) -> Table:
    """Start, memory and idle CPU."""
    loaded = {system: f"{pss / _MB:.0f}" for system, pss in loaded_pss.items()}
    rows = [
        {
            "system": one.system,
            "ready s": interval(one.seconds_to_ready, 2),
            "first answer s": interval(one.seconds_to_first_answer, 2),
            "idle CPU %": interval(one.idle_cpu, 2),
            "PSS MB": f"{one.pss.median / _MB:.0f}",
            "RSS MB": f"{one.rss.median / _MB:.0f}",
            "PSS MB after the loads": loaded.get(one.system, _MISSING),
        }
        for one in footprints
    ]
    return Table("Start, memory and idle CPU", rows)


def engine(ceilings: Sequence[Ceiling], graph: str) -> Table:
    """onnxruntime alone, by batch size and set-up."""
    found = {(one.batch, one.sessions, one.threads): one for one in ceilings if one.graph == graph}
    rows = []
    for batch in sorted({batch for batch, _, _ in found}):
        row = {graph: f"batch {batch}"}
        for sessions, threads in SET_UPS:
            one = found[batch, sessions, threads]
            shown = f"{one.images_per_second.median:.0f} ({one.cpu.median:.0f} µs)"
            row[f"{sessions} session{'s' * (sessions > 1)} × {threads}"] = shown
        rows.append(row)
    return Table(f"onnxruntime alone: {graph}, images/s (CPU of an image)", rows)


def pngs(codings: Sequence[Coding]) -> Table:
    """PNG files without a server."""
    rows = [
        {"": one.name, "CPU µs": interval(one.cpu, 1), "bytes": str(one.bytes)} for one in codings
    ]
    return Table("PNG alone", rows)


def targets(verdicts: Sequence[Verdict]) -> Table:
    """The targets of the service, and whether it met them."""
    rows = [
        {
            "bundle": one.bundle,
            "what": one.what,
            "target": f"{one.sign} {one.limit:g} {one.unit}".rstrip(),
            "aim": f"{one.aim:g}" if one.aim is not None else "",
            "measured": interval(one.measured, 2 if one.measured.median < 100 else 0),
            "verdict": ("met, aim too" if one.aim_met else "met") if one.met else "MISSED",
        }
        for one in verdicts
    ]
    return Table("Targets", rows, texts=2)


def interval(value: Statistics | None, digits: int) -> str:
    """Median [lowest…highest]; the median alone if there was a single measurement."""
    if value is None or value.count == 1:
        return median(value, digits)
    return f"{value.median:.{digits}f} [{value.low:.{digits}f}…{value.high:.{digits}f}]"


def median(value: Statistics | None, digits: int) -> str:
    """The median alone, or a dash."""
    return _MISSING if value is None else f"{value.median:.{digits}f}"
