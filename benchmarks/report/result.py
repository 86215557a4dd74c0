"""All measured values of a run, the file they are kept in, and their record while it goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from benchmarks.load.mixed import Mixed
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.wrk import LoadError, NoAnswerError
from benchmarks.measure.agreement import AgreementError
from benchmarks.measure.comparison import Cell, Unanswered
from benchmarks.measure.engine_alone import Ceiling
from benchmarks.measure.machine import Disturbance, Machine, Watch, describe
from benchmarks.measure.png_alone import Coding
from benchmarks.measure.starts import Footprint, Starts
from benchmarks.servers.ours import OURS, ServerError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

UNDER_WAY = "the run went on, or was killed"


class ResultError(Exception):
    """The file is not a result of this version."""


@dataclass(frozen=True, slots=True)
class BundleResult:
    """All measured values of one bundle; members that were not measured are empty."""

    codings: list[Coding] = field(default_factory=list)
    ceilings: list[Ceiling] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)
    """Loads without a cell, or without all of them."""
    footprints: list[Footprint] = field(default_factory=list)
    loaded_pss: dict[str, int] = field(default_factory=dict)
    """Bytes by system after all loads, while the others of its group were running."""
    open_loops: list[OpenLoop] = field(default_factory=list)
    mixed: list[Mixed] = field(default_factory=list)
    starts: list[Starts] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """The parts of the run that were measured completely."""


@dataclass(frozen=True, slots=True)
class Result:
    """All measured values of one run."""

    machine: Machine
    disturbance: Disturbance | None
    """None while the run is under way."""
    effort: str
    settings: dict[str, str]
    """The chosen settings by system."""
    missing: dict[str, str]
    """Why a system was not measured, or not in all parts, by system."""
    bundles: dict[str, BundleResult]
    """By name."""
    ended_early: str = ""
    """Why the run was not completed; empty if it was."""

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
        """The number of loads without a response from systems whose name starts with `system`."""
        return sum(
            one.system.startswith(system)
            for bundle in self.bundles.values()
            for one in bundle.unanswered
        )


class Record:
    """A result that grows while a run goes on.

    Args:
        effort: the name of the effort.
        missing: why a system is not available, by system.
        keep: called with the result after each part, so that a run that is killed leaves the
            last one.
        report: called with a sentence about each system that is left out.
    """

    def __init__(
        self,
        effort: str,
        missing: Mapping[str, str],
        keep: Callable[[Result], object],
        report: Callable[[str], None],
    ) -> None:
        self.settings: dict[str, str] = {}
        self.missing = dict(missing)
        self.bundles: dict[str, BundleResult] = {}
        self._effort, self._keep, self._report = effort, keep, report
        self._machine, self._watch = describe(), Watch()

    def part(self, bundle: str, name: str) -> None:
        """Notes that a part was measured completely."""
        parts = self.bundles[bundle].parts
        if name not in parts:
            parts.append(name)
        self.progress()

    @contextlib.contextmanager
    def forgiving(self, system: str) -> Iterator[None]:
        """Leaves out a rival that fails in the block from here on.

        Raises:
            AgreementError | LoadError | ServerError: this service failed.
            NoAnswerError: a system was too slow for one load; it may be fast enough for another.
        """
        try:
            yield
        except NoAnswerError:
            raise
        except (AgreementError, LoadError, ServerError) as error:
            if system.startswith(OURS):
                raise
            self._report(f"{system} is left out from here on: {error}")
            self.missing[system] = f"left out from where it failed: {error}"

    def progress(self) -> None:
        """Keeps what was measured so far."""
        self.ended(UNDER_WAY)

    def ended(self, why: str = "") -> Result:
        """Keeps and returns the result; `why` is empty if everything was measured."""
        result = Result(
            machine=self._machine,
            # Servers count as other processes until they have ended.
            disturbance=None if why == UNDER_WAY else self._watch.disturbance(),
            effort=self._effort,
            settings=self.settings,
            missing=self.missing,
            bundles=self.bundles,
            ended_early=why,
        )
        self._keep(result)
        return result


def write(result: Result, folder: Path) -> Path:
    """Writes `<date>.json` and replaces an earlier one; the dataclasses' members state units."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.machine.stamp}.json"
    # A reader never sees a half-written file, and a killed run leaves the previous one.
    part = path.with_suffix(".json.part")
    part.write_bytes(dumps(result))
    os.replace(part, path)
    return path


def dumps(result: DataclassInstance) -> bytes:
    """The result as JSON, floats with five significant digits."""
    return orjson.dumps(_rounded(asdict(result))) + b"\n"


def read(path: Path) -> Result:
    """Reads a file of `write`.

    Raises:
        ResultError: the file is not a result of this version.
    """
    return parse(path, Result, "python -m benchmarks")


def parse(path: Path, kind: type[T], command: str) -> T:
    """Reads a file that `command` wrote as the dataclass `kind`.

    Raises:
        ResultError: the file is not a result of this version.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultError(f"{path}: not a result of `{command}`: {error}") from error


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(member) for member in value]
    return value
