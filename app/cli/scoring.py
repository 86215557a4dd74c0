"""`score`: the least typical images of a folder, with their metrics."""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from app.cli.batches import Batches
from app.cli.connect import client_of
from app.cli.exits import Exit
from vaeserve.results import Scores

Row = dict[str, Any]
"""An image's path and metrics, in nats where nothing else is said; None where there is none."""

_ABOUT = ("model", "version", "likelihood", "binarised", "samples", "dimensions", "unit")
_METRICS = (
    "importance_weighted",
    "standard_error",
    "effective_sample_size",
    "elbo",
    "reconstruction",
    "kl",
    "bits_per_dimension",
    "percentile",
)
_COLUMNS = (
    ("percentile", "percentile", 10, 1),
    ("bound", "importance_weighted", 12, 2),
    ("±", "standard_error", 8, 2),
    ("ESS", "effective_sample_size", 7, 1),
    ("KL", "kl", 9, 2),
    ("bits/dim", "bits_per_dimension", 9, 4),
)
"""Of the table: title, metric, width and digits."""


def score(options: argparse.Namespace) -> Exit:
    """Prints the images with the lowest bounds, the lowest first."""
    batches = Batches(options.images, "scored", strict=options.strict)
    about: dict[str, Any] = {}
    with client_of(options) as client:
        ask = partial(
            client.score, samples=options.samples, binarise=options.binarise, seed=options.seed
        )
        found = _rows(batches.answers(ask), about)
        rows = heapq.nsmallest(
            options.top or sys.maxsize, found, key=lambda row: row["importance_weighted"]
        )
    ended = batches.summary()
    if options.json:
        counted = {"scored": batches.done, "skipped": batches.skipped}
        document = about | counted | {"pictures": rows}
        print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201 the result
    elif options.csv:
        table = csv.DictWriter(sys.stdout, ("path", *_METRICS), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    else:
        print("\n".join(_text(rows, about, batches.done)))  # noqa: T201 the result
    return ended


def _rows(answers: Iterator[tuple[list[str], Scores]], about: dict[str, Any]) -> Iterator[Row]:
    """A row for each image; `about` gets what is the same for all."""
    for paths, scores in answers:
        about.update({name: getattr(scores, name) for name in _ABOUT})
        for index, path in enumerate(paths):
            metrics = {name: _number(getattr(scores, name), index) for name in _METRICS}
            yield {"path": path, **metrics}


def _number(metric: Sequence[float] | None, index: int) -> float | None:
    if metric is None or math.isnan(metric[index]):
        return None
    return float(metric[index])


def _text(rows: Sequence[Row], about: dict[str, Any], scored: int) -> Iterator[str]:
    how = f", binarised by {about['binarised']}" if about["binarised"] else ""
    yield (
        f"{len(rows)} of {scored} images, the least typical first; {about['model']}/"
        f"{about['version']}, {about['likelihood']}{how}; bounds on log p(x) over "
        f"{about['dimensions']} dimensions in {about['unit']}, {about['samples']} samples"
    )
    yield " ".join(f"{title:>{width}}" for title, _, width, _ in _COLUMNS) + "  image"
    for row in rows:
        cells = (_cell(row[name], width, digits) for _, name, width, digits in _COLUMNS)
        yield f"{' '.join(cells)}  {row['path']}"


def _cell(value: float | None, width: int, digits: int) -> str:
    return "–".rjust(width) if value is None else f"{value:{width}.{digits}f}"
