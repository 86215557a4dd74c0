"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.comparison import Cell
from benchmarks.engine_alone import SET_UPS, Ceiling
from benchmarks.footprint import Footprint
from benchmarks.machine import Machine
from benchmarks.result import Result
from benchmarks.spread import Spread

_MB = 1e6


def render(result: Result) -> str:
    """The whole result as plain text; every figure is a median, with its range where it helps."""
    sections = [
        _machine(result.machine),
        f"Bundle {result.bundle}",
        *(_ceilings(result.ceilings, graph) for graph in ("decoder", "encoder")),
        "Under load, each [lowest … highest] of interleaved runs; CPU is the server's own",
        _cells(result.cells),
        "At rest",
        _footprints(result.footprints, result.loaded_pss),
        *(f"{name}: {settings}" for name, settings in result.settings.items()),
    ]
    return "\n\n".join(section for section in sections if section)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *padded[1:]]).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    return (
        f"{machine.date}, commit {machine.commit}, {machine.cores} cores of {machine.processor}, "
        f"load average {machine.load_average:.1f}\nPython {machine.python}, {versions}"
    )


def _ceilings(ceilings: Sequence[Ceiling], graph: str) -> str:
    found = {(one.batch, one.sessions, one.threads): one for one in ceilings if one.graph == graph}
    batches = sorted({batch for batch, _, _ in found})
    head = [f"{graph} alone, images/s"] + [
        f"{sessions} session{'s' * (sessions > 1)} × {threads}" for sessions, threads in SET_UPS
    ]
    rows = [
        [f"batch {batch}"]
        + [
            f"{one.images_per_second.median:.0f} ({one.cpu.median:.0f} µs)"
            for one in (found[batch, *set_up] for set_up in SET_UPS)
        ]
        for batch in batches
    ]
    return table(head, rows)


def _cells(cells: Sequence[Cell]) -> str:
    head = ["workload", "conn.", "server", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio"]
    return table([*head, "errors"], [list(_cell(cell)) for cell in cells])


def _cell(cell: Cell) -> Iterator[str]:
    yield cell.workload
    yield str(cell.connections)
    yield cell.system
    yield _with_range(cell.requests_per_second, 0)
    yield f"{cell.p50.median:.2f}"
    yield f"{cell.p99.median:.2f}"
    yield _with_range(cell.cpu, 0)
    yield _with_range(cell.ratio, 2) if cell.ratio else ""
    yield str(cell.errors)


def _footprints(footprints: Sequence[Footprint], loaded_pss: Mapping[str, int]) -> str:
    head = ["server", "ready s", "first answer s", "idle CPU %", "PSS MB", "RSS MB"]
    head.append("PSS MB after the loads")
    rows = [
        [
            one.system,
            _with_range(one.seconds_to_ready, 2),
            _with_range(one.seconds_to_first_answer, 2),
            _with_range(one.idle_cpu, 2),
            f"{one.pss.median / _MB:.0f}",
            f"{one.rss.median / _MB:.0f}",
            f"{loaded_pss[one.system] / _MB:.0f}",
        ]
        for one in footprints
    ]
    return table(head, rows)


def _with_range(value: Spread, digits: int) -> str:
    return f"{value.median:.{digits}f} [{value.low:.{digits}f} … {value.high:.{digits}f}]"
