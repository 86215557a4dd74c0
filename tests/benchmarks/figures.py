"""Made-up figures, for what is made of them."""

from __future__ import annotations

from benchmarks.load.mixed import Mixed
from benchmarks.load.open_loop import OpenLoop
from benchmarks.measure.comparison import ENGINE, Cell, Unanswered
from benchmarks.measure.engine_alone import SET_UPS, Ceiling
from benchmarks.measure.machine import Disturbance, Machine
from benchmarks.measure.png_alone import Coding
from benchmarks.measure.starts import Footprint, Starts
from benchmarks.measure.statistics import Statistics
from benchmarks.report.result import BundleResult, Result
from benchmarks.servers import fastapi_floor
from benchmarks.servers.ours import NAIVE, OURS, TUNED


def around(value: float) -> Statistics:
    """Three measurements about a value, which is their median."""
    return Statistics.of([value * 0.9, value, value * 1.2])


def cell(system: str, rate: float = 100.0, **changes: object) -> Cell:
    """One system under `/sample` at 64 connections."""
    ours = system == OURS
    members: dict[str, object] = {
        "system": system,
        "workload": "/sample n=1",
        "images": 1,
        "connections": 64,
        "requests": 300,
        "requests_per_second": around(rate),
        "cpu": around(1e6 / rate),
        "beyond_engine": None if system == ENGINE else around(5e5 / rate),
        "p50": None if system == ENGINE else around(10),
        "p99": None if system == ENGINE else around(20),
        "p99_over_p50": None if system == ENGINE else around(2),
        "errors": 0,
        "ours_over": None if ours else around(200 / rate),
        "our_p50_over": None if ours else around(0.5),
    }
    return Cell(**members | changes)  # type: ignore[arg-type]  # members are of any type


def result() -> Result:
    """A run with everything in it."""
    systems = {OURS: 200.0, NAIVE: 40.0, TUNED: 90.0, "LitServe": 50.0, "Ray Serve": 25.0}
    heavy = [
        cell(system, rate, workload=workload, connections=connections)
        for workload in ("/sample n=1", "/reconstruct")
        for connections in (16, 64)
        for system, rate in {**systems, fastapi_floor.NAME: 900.0, ENGINE: 400.0}.items()
    ]
    small = [
        cell(name, rate, connections=16)
        for name, rate in {**systems, fastapi_floor.NAME: 300}.items()
    ]
    return Result(
        machine=Machine("a processor", 2, "3.11", {"fastapi": "1"}, "abc", "2026-01-01", 0.1),
        disturbance=Disturbance(12.0, 3.0),
        effort="peers",
        settings={name: f"as {name} says" for name in systems},
        missing={"Triton": "no container here"},
        bundles={"heavy": bundle_result(heavy), "small": bundle_result(small)},
    )


def bundle_result(cells: list[Cell]) -> BundleResult:
    """One bundle's figures."""
    return BundleResult(
        codings=[Coding("encode, vaeserve", around(20), 384)],
        ceilings=[
            Ceiling(graph, sessions, threads, 1, around(1000), around(900))
            for graph in ("encoder", "decoder")
            for sessions, threads in SET_UPS
        ],
        cells=cells,
        unanswered=[Unanswered("LitServe", "/sample n=1024", 4, 2.0)],
        footprints=[
            Footprint(OURS, around(0.9), around(1.0), around(0.2), around(1e8), around(1.2e8)),
            Footprint("Ray Serve", around(9), around(10), around(80), around(8e8), around(1e9)),
        ],
        loaded_pss={OURS: 110_000_000},
        open_loops=[
            OpenLoop(
                *(OURS, "/sample n=1", part, around(part * 100), around(5), around(9 / (1 - part))),
                *(around(3), around(3 / (1 - part)), 300, 0, around(60)),
                *(around(100), around(105)),
            )
            for part in (0.3, 0.6, 0.9)
        ],
        mixed=[
            Mixed(
                *(OURS, "/sample n=1", "/sample n=4096", around(20), around(40), around(2)),
                *(around(900), around(500), around(1500), 0),
            )
        ],
        starts=[Starts(OURS, "/sample n=1", 64, [100.0, 50.0, 100.0, 110.0], 0)],
    )
