"""Compares runs: where their settings differ, and which metrics are better."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from training.reports.run_record import Record

_BETTER = {
    **dict.fromkeys(("bound", "elbo", "log_likelihood", "validation_elbo"), 1),
    **dict.fromkeys(("sample_precision", "sample_recall", "sample_density", "sample_coverage"), 1),
    **dict.fromkeys(("bits_per_dimension", "nats_per_dimension", "mean_squared_error"), -1),
    **dict.fromkeys(("sample_frechet_distance", "sample_frechet_ratio"), -1),
}
"""1 for metrics whose higher values are better, −1 for those whose lower ones are."""
_ERRORS = 2.0
"""Metrics within this many standard errors of their difference count as equal. Runs are
measured on the same images, so the true error is smaller: the mark errs towards a draw."""
_NAMES_ONLY = ("bundle.name", "bundle.version", "bundle.card")
"""Settings that differ without anything being different."""

# What images are made into before anything is measured.
_IMAGES = ("model.channels", "model.height", "model.width", "data.background")
# What decides which numbers a bound is the density or the probability of.
_NUMBERS = ("model.likelihood.family", "model.likelihood.binarise")
_DIGEST = re.compile(r"SHA-256 of the pixels: ([0-9a-f]{64})")

Mark = Literal["best", "draw"]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Figure:
    """One metric of one run."""

    value: float
    standard_error: float | None
    measured_on: object
    """Metrics are comparable where these are equal."""


@dataclass(frozen=True)
class Comparison:
    """Several runs."""

    runs: Mapping[str, Record]
    """By a unique name."""
    settings: Mapping[str, Sequence[object]]
    """Those that differ by dotted key, one value a run; None where a run does not have it."""
    figures: Mapping[str, Sequence[Figure | None]]
    """By name, one a run."""
    marks: Mapping[str, Sequence[Mark | None]]
    """By metric: the best run, and those that can't be distinguished from it."""
    incomparable: Sequence[str]
    """Metrics that runs measured on different images, bits or numbers of samples."""


def compare(records: Sequence[Record]) -> Comparison:
    """The runs in the order given."""
    figures = _aligned([_figures_of(record) for record in records])
    incomparable = [
        name
        for name, row in figures.items()
        if len({repr(one.measured_on) for one in row if one is not None}) > 1
    ]
    marks = {
        name: _marks(name, row) if name not in incomparable else [None] * len(row)
        for name, row in figures.items()
    }
    return Comparison(
        dict(zip(_names(records), records, strict=True)),
        _differing(records),
        figures,
        marks,
        incomparable,
    )


def _names(records: Sequence[Record]) -> list[str]:
    """Folders' own names, with as many parents as make them unique."""
    paths = [record.folder.resolve() for record in records]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({number})" for number, path in enumerate(paths, 1)]


def _differing(records: Sequence[Record]) -> dict[str, list[object]]:
    rows = _aligned([record.settings for record in records])
    return {
        key: row
        for key, row in rows.items()
        if key not in _NAMES_ONLY and any(value != row[0] for value in row)
    }


def _aligned(columns: Sequence[Mapping[str, _Value]]) -> dict[str, list[_Value | None]]:
    """A row for each key of any column; None where a column does not have the key."""
    keys = dict.fromkeys(key for column in columns for key in column)
    return {key: [column.get(key) for column in columns] for key in keys}


def _figures_of(record: Record) -> dict[str, Figure]:
    images, numbers = ([record.settings.get(key) for key in keys] for keys in (_IMAGES, _NUMBERS))
    figures = {}
    for name, metric in record.metrics.items():
        how = (metric.n, metric.samples, sorted(metric.seeds.items()), metric.note)
        # Samples are measured as images, whichever likelihood they were drawn with.
        targets = () if name.startswith("sample_") else (_pixels(record), numbers)
        figures[name] = Figure(metric.value, metric.standard_error, (how, images, targets))
    validation = record.last.get("validation_elbo")
    if validation is not None:
        # The split follows from these; noise and bits differ with the seed, and average out.
        split = (record.run.get("fingerprints"), record.settings.get("data.validation_share"))
        figures["validation_elbo"] = Figure(float(validation), None, (split, images, numbers))
    return figures


def _pixels(record: Record) -> list[object]:
    """The split that was measured and its pixels' SHA-256, which only the bound's note states."""
    note = record.metrics["bound"].note if "bound" in record.metrics else None
    found = _DIGEST.search(note or "")
    return [record.split, found and found[1]]


def _marks(name: str, row: Sequence[Figure | None]) -> list[Mark | None]:
    sign = _BETTER.get(name)
    there = [one for one in row if one is not None and math.isfinite(one.value)]
    if not sign or len(there) < 2:
        return [None] * len(row)
    best = max(there, key=lambda one: sign * one.value)
    return [None if one is None else _mark(one, best) for one in row]


def _mark(one: Figure, best: Figure) -> Mark | None:
    if one.value == best.value:
        return "best"
    error = math.hypot(one.standard_error or 0.0, best.standard_error or 0.0)
    return "draw" if abs(one.value - best.value) <= _ERRORS * error else None
