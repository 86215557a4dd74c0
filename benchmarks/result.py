"""A whole run's figures, and its file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from benchmarks.comparison import Cell
from benchmarks.engine_alone import Ceiling
from benchmarks.footprint import Footprint
from benchmarks.machine import Machine


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run measured."""

    machine: Machine
    bundle: str
    """`name/version`."""
    settings: dict[str, str]
    """By server, what was chosen for it."""
    ceilings: list[Ceiling]
    cells: list[Cell]
    footprints: list[Footprint]
    loaded_pss: dict[str, int]
    """By server, bytes after all loads, while both were running."""


def write(result: Result, folder: Path) -> Path:
    """Writes `<date>.json`; units are those of the dataclasses' members."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.machine.date.replace(':', '').replace('+0000', 'Z')}.json"
    path.write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2) + b"\n")
    return path
