"""What a run measures, of which systems, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.measure.comparison import Load
from benchmarks.measure.engine_alone import BATCHES
from benchmarks.servers.ours import System, vaeserve
from model.bundle.bundle import Bundle
from model.pixels import Images

PARTS = ("rest", "png", "engine", "loads", "open", "mixed", "starts")
"""The parts of a run: at rest, PNG alone, onnxruntime alone, under load, open loop, small requests
beside large ones, repeated starts."""

Row = tuple[str, tuple[int, ...], int]
"""A workload's name, numbers of connections, rounds."""

_START, _OWN_START, _RESTLESS_START = 5.0, 2.0, 30.0
"""Seconds for the start, check and end of a typical rival, this service and a restless rival."""
_PROCESS = 0.2
"""Seconds in which a load generator starts and ends."""


@dataclass(frozen=True, slots=True)
class Effort:
    """One way to measure; times are in seconds."""

    name: str
    loads: Mapping[str, tuple[Row, ...]]
    """By bundle."""
    parts: tuple[str, ...] = PARTS
    seconds: float = 2
    warm_up: float = 1
    rest_starts: int = 3
    rest_rivals_starts: int = 2
    """Starts of each rival, for which no target exists at rest."""
    idle: float = 5
    rest_rivals: tuple[str, ...] = ("heavy",)
    """Bundles with which the rivals are measured at rest too."""
    batches: tuple[int, ...] = BATCHES
    engine_rounds: int = 3
    engine_seconds: float = 0.4
    open_rounds: int = 3
    open_seconds: float = 2
    mixed_rounds: int = 3
    mixed_seconds: float = 12
    """Long enough for a heavy model to complete the large request beside the small ones."""
    starts: int = 16
    starts_bundles: tuple[str, ...] = ("heavy",)
    workers: tuple[int, ...] = ()
    """Numbers of workers with which the service is measured besides its default."""
    workers_at: tuple[tuple[str, int], ...] = ()
    """The workloads and connections at which they are measured; empty for all."""


QUICK = Effort(
    "quick",
    {
        "heavy": (("/sample n=1", (1, 16, 64), 1), ("/reconstruct", (16, 64), 1)),
        "small": (("/sample n=1", (1, 16), 1),),
    },
    parts=("rest", "png", "engine", "loads"),
    rest_starts=1,
    idle=3,
    batches=(1, 16),
    engine_rounds=1,
)

_HEAVY: tuple[Row, ...] = (
    ("/sample n=1", (1,), 2),
    ("/sample n=1", (16,), 3),
    ("/sample n=1", (64,), 5),
    ("/reconstruct", (16,), 3),
    ("/reconstruct", (64,), 5),
    ("/reconstruct multipart", (16,), 3),
    ("/encode", (16,), 2),
    ("/sample n=64", (4,), 3),
    ("/sample n=1024", (4,), 3),
)
"""The loads of the heavy model in every full run: at least three rounds for a target, and five for
a target that is a ratio of requests/s."""

_SMALL: tuple[Row, ...] = (
    ("/sample n=1", (1, 16), 5),
    ("/sample n=1", (64,), 2),
    ("/reconstruct", (16,), 2),
)
"""The loads of the small model in every full run."""

STANDARD = Effort(
    "standard",
    {
        "heavy": _HEAVY,
        "small": (*_SMALL, ("/reconstruct", (64,), 2)),
    },
    batches=(1, 4, 16, 64),
    starts=8,
)

PEERS = Effort(
    "peers",
    {
        "heavy": (*_HEAVY, ("/sample n=1", (256,), 2)),
        "small": (*_SMALL, ("/sample n=1", (256,), 2)),
    },
    starts_bundles=("heavy", "small"),
    batches=(1, 4, 16, 64),
    starts=12,
    mixed_seconds=10,
    workers=(1,),
    workers_at=(("/sample n=1", 16), ("/sample n=1", 64)),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected part of an effort; empty members select everything."""

    workloads: tuple[str, ...] = ()
    """Their names, or substrings of names."""
    connections: tuple[int, ...] = ()
    systems: tuple[str, ...] = ()
    """Substrings of their names; the service itself is always measured."""
    parts: tuple[str, ...] = ()
    """Selected parts are measured even if the effort leaves them out."""
    rounds: int | None = None
    seconds: float | None = None

    def takes_system(self, name: str) -> bool:
        """Whether the system is selected."""
        return not self.systems or any(part in name.lower() for part in self.systems)

    def takes_workload(self, name: str, known: Collection[str]) -> bool:
        """Whether the workload is selected; a complete name of a `known` one selects it alone."""
        return not self.workloads or any(
            part == name if part in known else part in name for part in self.workloads
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure, and of which systems."""

    effort: Effort
    selection: Selection
    rivals: Callable[[Bundle], Sequence[System]]
    """The systems that the service is compared with."""
    progress: Callable[[str], None]

    def wants(self, *parts: str) -> bool:
        """Whether any of these parts is selected."""
        return bool(set(parts) & set(self.selection.parts or self.effort.parts))

    def systems(self, bundle: Bundle) -> list[System]:
        """The service first, with each number of workers, then the selected rivals."""
        rivals = [one for one in self.rivals(bundle) if self.selection.takes_system(one.name)]
        return [*self.ours(bundle), *rivals]

    def ours(self, bundle: Bundle) -> list[System]:
        """The service with its defaults, then with each number of workers that is measured."""
        workers = (vaeserve(bundle, workers=number) for number in self.effort.workers)
        return [vaeserve(bundle), *workers]


def loads(effort: Effort, selection: Selection, bundle: str, image: Images) -> list[Load]:
    """The selected loads of the effort for a bundle.

    Selected connections are measured even if the effort has others. A bundle that the effort does
    not name gets the loads of the heavy one.
    """
    known = every_workload(image)
    found: dict[tuple[str, int], Load] = {}
    for name, connections, rounds in _rows(effort, bundle):
        if selection.takes_workload(name, known):
            for number in selection.connections or connections:
                load = Load(known[name], number, selection.rounds or rounds)
                found.setdefault((name, number), load)
    return list(found.values())


def every_workload(image: Images) -> dict[str, Workload]:
    """All workloads by name; they upload `image`, uint8 [h, w, c]."""
    found = (
        workloads.sample(),
        workloads.reconstruct(image),
        workloads.reconstruct_multipart(image),
        workloads.encode(image),
        workloads.sample(n=64),
        workloads.sample(n=1024),
    )
    return {one.name: one for one in found}


def minutes(effort: Effort, bundles: Collection[str], rivals: int, restless: int = 0) -> float:
    """Estimates how long all parts of an effort take on two cores.

    Args:
        effort: what is measured.
        bundles: their names.
        rivals: how many rivals run at the same time.
        restless: how many more rivals run beside the service alone.
    """
    return sum(sum(_seconds(effort, name, rivals, restless)) for name in bundles) / 60


def _rows(effort: Effort, bundle: str) -> tuple[Row, ...]:
    return effort.loads.get(bundle, effort.loads["heavy"])


def _seconds(effort: Effort, bundle: str, rivals: int, restless: int) -> Iterator[float]:
    """The seconds of each part of the effort for one bundle."""
    if "rest" in effort.parts:
        yield effort.rest_starts * (_OWN_START + effort.idle)
        if bundle in effort.rest_rivals:
            starts = rivals * (_START + effort.idle) + restless * (_RESTLESS_START + effort.idle)
            yield effort.rest_rivals_starts * starts
    if "engine" in effort.parts:
        yield 2 * 3 * len(effort.batches) * effort.engine_rounds * effort.engine_seconds
    if "starts" in effort.parts and bundle in effort.starts_bundles:
        yield effort.starts * (_OWN_START + 1 + 2 * effort.seconds + 3 * _PROCESS)
    if "loads" in effort.parts:
        yield _group(effort, bundle, rivals, _START)
        yield restless * _group(effort, bundle, 1, _RESTLESS_START)
    if "open" in effort.parts:
        yield effort.open_rounds * (1 + 5 * effort.open_seconds + 6 * _PROCESS)
    if "mixed" in effort.parts:
        rounds = (1 + len(effort.workers)) * effort.mixed_rounds
        yield rounds * (2 * effort.mixed_seconds + 2 + 2 * _PROCESS)


def _group(effort: Effort, bundle: str, rivals: int, start: float) -> float:
    rows, servers = _rows(effort, bundle), 1 + rivals + 1
    seconds = _OWN_START + start * rivals
    seconds += len({workload for workload, _, _ in rows}) * servers * (effort.warm_up + _PROCESS)
    for workload, connections, rounds in rows:
        for number in connections:
            more = len(effort.workers) if (workload, number) in effort.workers_at else 0
            seconds += rounds * ((servers + more) * (effort.seconds + _PROCESS) + 0.5)
    return seconds
