"""A whole run's figures, and its file."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from benchmarks.load.mixed import Mixed
from benchmarks.load.open_loop import OpenLoop
from benchmarks.measure.comparison import Cell, Unanswered
from benchmarks.measure.engine_alone import Ceiling
from benchmarks.measure.footprint import Footprint
from benchmarks.measure.machine import Disturbance, Machine
from benchmarks.measure.png_alone import Coding
from benchmarks.measure.starts import Starts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


class ResultError(Exception):
    """A file that holds no result of this version."""


@dataclass(frozen=True, slots=True)
class BundleResult:
    """Everything that was measured with one bundle; what was not is empty."""

    codings: list[Coding] = field(default_factory=list)
    ceilings: list[Ceiling] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)
    """Loads without a cell, or without all of them."""
    footprints: list[Footprint] = field(default_factory=list)
    loaded_pss: dict[str, int] = field(default_factory=dict)
    """By system, bytes after all loads, while the others of its group were running."""
    open_loops: list[OpenLoop] = field(default_factory=list)
    mixed: list[Mixed] = field(default_factory=list)
    starts: list[Starts] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """Which parts of the run were measured to their end."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run measured."""

    machine: Machine
    disturbance: Disturbance | None
    """None of a run that is under way."""
    effort: str
    settings: dict[str, str]
    """By system, what was chosen for it."""
    missing: dict[str, str]
    """By system that could not be measured, or not in all parts, why."""
    bundles: dict[str, BundleResult]
    """By name."""
    ended_early: str = ""
    """Why the run did not come to its end; empty where it did."""

    @property
    def errors(self) -> int:
        """Failed requests of all systems."""
        return sum(
            one.errors
            for bundle in self.bundles.values()
            for group in (bundle.cells, bundle.open_loops, bundle.mixed, bundle.starts)
            for one in group
        )

    def unanswered(self, system: str) -> int:
        """Loads under which a system, or one whose name begins so, could not be measured."""
        return sum(
            one.system.startswith(system)
            for bundle in self.bundles.values()
            for one in bundle.unanswered
        )


def write(result: Result, folder: Path) -> Path:
    """Writes `<date>.json`, or writes it anew; units are those of the dataclasses' members."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.machine.stamp}.json"
    # Whoever reads it meanwhile, or when this is killed, finds the one that was there before.
    beside = path.with_suffix(".json.part")
    beside.write_bytes(dumps(result))
    os.replace(beside, path)
    return path


def dumps(result: DataclassInstance) -> bytes:
    """As JSON, floats with no more digits than were measured."""
    document = _rounded(asdict(result))
    return orjson.dumps(document) + b"\n"


def read(path: Path) -> Result:
    """What `write` wrote.

    Raises:
        ResultError: it is no such file.
    """
    return parse(path, Result, "python -m benchmarks")


def parse(path: Path, kind: type[T], command: str) -> T:
    """A file that `command` wrote, as the dataclass that it was.

    Raises:
        ResultError: it is no such file.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        msg = f"{path}: no result of `{command}`: {error}"
        raise ResultError(msg) from error


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(member) for member in value]
    return value
