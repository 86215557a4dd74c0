"""Sets runs side by side: where their settings differ, and whose figures are better."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from training.reports.run_record import Record

_HIGHER = frozenset(
    {
        *("bound", "elbo", "log_likelihood", "validation_elbo"),
        *("sample_precision", "sample_recall", "sample_density", "sample_coverage"),
    }
)
_LOWER = frozenset(
    {
        *("bits_per_dimension", "nats_per_dimension", "mean_squared_error"),
        *("sample_frechet_distance", "sample_frechet_ratio"),
    }
)
_ERRORS = 2.0
"""Figures nearer than so many standard errors of their difference are not told apart. Runs are
measured on the same images, so the true error is smaller: the mark errs towards a draw."""
_NAMES_ONLY = ("bundle.name", "bundle.version", "bundle.card")
"""Settings that differ without anything being different."""

_IMAGES = ("model.channels", "model.height", "model.width", "data.background")
_NUMBERS = ("model.likelihood.family", "model.likelihood.binarise")
_DIGEST = re.compile(r"SHA-256 of the pixels: ([0-9a-f]{64})")

Mark = Literal["best", "draw"]


@dataclass(frozen=True)
class Figure:
    """One figure of one run."""

    value: float
    standard_error: float | None
    measured_on: object
    """Figures are comparable where these are equal."""


@dataclass(frozen=True)
class Comparison:
    """Several runs."""

    runs: Mapping[str, Record]
    """By a name that tells them apart."""
    settings: Mapping[str, Sequence[object]]
    """Those that differ by dotted key, one value a run; None where a run does not have it."""
    figures: Mapping[str, Sequence[Figure | None]]
    """By name, one a run."""
    marks: Mapping[str, Sequence[Mark | None]]
    """By figure: the best run, and those that can't be told from it."""
    incomparable: Sequence[str]
    """Figures that runs measured on different images, bits or numbers of samples."""


def compare(records: Sequence[Record]) -> Comparison:
    """The runs in the order given."""
    figures = _figures(records)
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
    """Folders' own names, with as many of those above as tell them apart."""
    paths = [record.folder.resolve() for record in records]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({number})" for number, path in enumerate(paths, 1)]


def _differing(records: Sequence[Record]) -> dict[str, list[object]]:
    keys = dict.fromkeys(key for record in records for key in record.settings)
    rows = {key: [record.settings.get(key) for record in records] for key in keys}
    return {
        key: row
        for key, row in rows.items()
        if key not in _NAMES_ONLY and any(value != row[0] for value in row)
    }


def _figures(records: Sequence[Record]) -> dict[str, list[Figure | None]]:
    found = [_figures_of(record) for record in records]
    names = dict.fromkeys(name for figures in found for name in figures)
    return {name: [figures.get(name) for figures in found] for name in names}


def _figures_of(record: Record) -> dict[str, Figure]:
    images, numbers = _images(record), _numbers(record)
    figures = {}
    for name, metric in record.metrics.items():
        how = (metric.n, metric.samples, sorted(metric.seeds.items()), metric.note)
        # Samples are measured as images, whichever likelihood they were drawn with.
        targets = () if name.startswith("sample_") else (_pixels(record), numbers)
        measured_on = (how, images, targets)
        figures[name] = Figure(metric.value, metric.standard_error, measured_on)
    validation = record.last.get("validation_elbo")
    if validation is not None:
        # The split follows from these; noise and bits differ with the seed, and average out.
        split = (record.run.get("fingerprints"), record.settings.get("data.validation_share"))
        figures["validation_elbo"] = Figure(float(validation), None, (split, images, numbers))
    return figures


def _images(record: Record) -> list[object]:
    """What images are made into before anything is measured."""
    return [record.settings.get(key) for key in _IMAGES]


def _numbers(record: Record) -> list[object]:
    """What decides which numbers a bound is the density or the probability of."""
    return [record.settings.get(key) for key in _NUMBERS]


def _pixels(record: Record) -> list[object]:
    """The split that was measured and its pixels' SHA-256, which only the bound's note states."""
    note = record.metrics["bound"].note if "bound" in record.metrics else None
    found = _DIGEST.search(note or "")
    return [record.split, found and found[1]]


def _marks(name: str, row: Sequence[Figure | None]) -> list[Mark | None]:
    sign = (name in _HIGHER) - (name in _LOWER)
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
