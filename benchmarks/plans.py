"""How much is measured, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.measure.comparison import Load
from benchmarks.measure.engine_alone import BATCHES
from model.pixels import Images

PARTS = ("rest", "png", "engine", "loads", "open", "mixed", "starts")
"""What a run consists of: at rest, PNG alone, onnxruntime alone, under load, open loop, small
requests beside large ones, many starts."""

Row = tuple[str, tuple[int, ...], int]
"""A workload's name, numbers of connections, rounds."""


@dataclass(frozen=True, slots=True)
class Effort:
    """One way to measure; times in seconds."""

    name: str
    loads: Mapping[str, tuple[Row, ...]]
    """By bundle."""
    parts: tuple[str, ...] = PARTS
    seconds: float = 2
    warm_up: float = 1
    rest_starts: int = 3
    rest_rivals_starts: int = 2
    """Of each rival, which is held to no bar there."""
    idle: float = 5
    rest_rivals: tuple[str, ...] = ("heavy",)
    """Bundles with which the rivals, too, are started and watched at rest."""
    batches: tuple[int, ...] = BATCHES
    engine_rounds: int = 3
    engine_seconds: float = 0.4
    open_rounds: int = 3
    open_seconds: float = 2
    mixed_rounds: int = 3
    mixed_seconds: float = 12
    """Long enough for a heavy model to answer the large request beside the small ones."""
    starts: int = 16
    starts_bundles: tuple[str, ...] = ("heavy",)
    workers: tuple[int, ...] = ()
    """Numbers of workers that the service is measured with besides its default."""
    workers_at: tuple[tuple[str, int], ...] = ()
    """Workloads and connections at which it is; empty for all."""


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
"""What every full run asks of the heavy model: three rounds at least where there is a bar, five
where it is a ratio of requests/s."""

_SMALL: tuple[Row, ...] = (
    ("/sample n=1", (1, 16), 5),
    ("/sample n=1", (64,), 2),
    ("/reconstruct", (16,), 2),
)
"""What every full run asks of the small model."""

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
    """What of it is wanted; empty members select everything."""

    workloads: tuple[str, ...] = ()
    """Their names, or parts of several names."""
    connections: tuple[int, ...] = ()
    systems: tuple[str, ...] = ()
    """Parts of their names; the service itself is always there."""
    parts: tuple[str, ...] = ()
    rounds: int | None = None
    seconds: float | None = None

    def parts_of(self, effort: Effort) -> tuple[str, ...]:
        """Parts that are named outright are measured though the effort leaves them out."""
        return self.parts or effort.parts

    def takes_system(self, name: str) -> bool:
        """Whether any selected part is in the name."""
        return not self.systems or any(part in name.lower() for part in self.systems)

    def takes_workload(self, name: str, known: Collection[str]) -> bool:
        """Whether any selected part is in the name; what is the name of a known one means it."""
        return not self.workloads or any(
            part == name if part in known else part in name for part in self.workloads
        )


def loads(effort: Effort, selection: Selection, bundle: str, image: Images) -> list[Load]:
    """The effort's loads for a bundle, as far as they are selected.

    Connections that are named outright are measured though the effort has others. A bundle that
    the effort doesn't know is measured as the heavy one.
    """
    known = every_workload(image)
    rows = effort.loads.get(bundle, effort.loads["heavy"])
    found: dict[tuple[str, int], Load] = {}
    for name, connections, rounds in rows:
        if not selection.takes_workload(name, known):
            continue
        for number in selection.connections or connections:
            wanted = selection.rounds or rounds
            found.setdefault((name, number), Load(known[name], number, wanted))
    return list(found.values())


def every_workload(image: Images) -> dict[str, Workload]:
    """By name; `image` uint8 [h, w, c] is what is uploaded."""
    found: Sequence[Workload] = (
        workloads.sample(),
        workloads.reconstruct(image),
        workloads.reconstruct_multipart(image),
        workloads.encode(image),
        workloads.sample(n=64),
        workloads.sample(n=1024),
    )
    return {one.name: one for one in found}
