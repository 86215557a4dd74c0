"""`score`: the least typical images of a folder, with their figures."""

from __future__ import annotations

import argparse
import csv
import heapq
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from app.cli.batches import Batches
from app.cli.exits import CommandError, Exit
from app.cli.files import images_below, shown
from app.cli.listing import count, summary
from app.cli.progress import Progress
from app.cli.service import client_of
from vaeserve.results import Scores


@dataclass(frozen=True, slots=True)
class Row:
    """An image's figures, in nats where nothing else is said; None where there is none."""

    path: str
    importance_weighted: float
    standard_error: float | None
    effective_sample_size: float
    elbo: float
    reconstruction: float
    kl: float
    bits_per_dimension: float | None
    percentile: float | None


def score(options: argparse.Namespace) -> Exit:
    """Prints the images with the lowest bounds, the lowest first."""
    paths = options.images
    count(paths, at_least=1)
    with client_of(options) as client, Progress("scoring", partial(count, paths)) as progress:
        ask = partial(
            client.score, samples=options.samples, binarise=options.binarise, seed=options.seed
        )
        batches: Batches[Scores] = Batches(ask, progress, options.strict)
        about: dict[str, Any] = {}
        rows = heapq.nsmallest(
            options.top or sys.maxsize, _rows(batches, paths, about), key=_worst_first
        )
    ended = summary(batches, "scored")
    if options.json:
        skipped = [{"path": shown(one.path), "reason": one.reason} for one in batches.skipped]
        counted = {"scored": batches.done, "skipped": skipped}
        document = about | counted | {"pictures": [asdict(row) for row in rows]}
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())  # noqa: T201 the result
    elif options.csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(Row.__dataclass_fields__)
        table.writerows(asdict(row).values() for row in rows)
    else:
        print("\n".join(_text(rows, about, batches.done)))  # noqa: T201 the result
    return ended


def _rows(batches: Batches[Scores], paths: Sequence[Path], about: dict[str, Any]) -> Iterator[Row]:
    """A row for each image; `about` gets what is the same for all."""
    for there, scores in batches.answers(images_below(paths)):
        said = _about(scores)
        if about not in ({}, said):
            msg = f"{said['model']}/{said['version']} took the place of the model; begin again"
            raise CommandError(msg)
        about.update(said)
        for index, path in enumerate(there):
            yield _row(path, scores, index)


def _about(scores: Scores) -> dict[str, Any]:
    return {
        "model": scores.model,
        "version": scores.version,
        "likelihood": scores.likelihood,
        "binarised": scores.binarised,
        "samples": scores.samples,
        "dimensions": scores.dimensions,
        "unit": scores.unit,
    }


def _row(path: Path, scores: Scores, index: int) -> Row:
    bits, percentile = scores.bits_per_dimension, scores.percentile
    error = float(scores.standard_error[index])
    return Row(
        path=shown(path),
        importance_weighted=float(scores.importance_weighted[index]),
        standard_error=error if error == error else None,
        effective_sample_size=float(scores.effective_sample_size[index]),
        elbo=float(scores.elbo[index]),
        reconstruction=float(scores.reconstruction[index]),
        kl=float(scores.kl[index]),
        bits_per_dimension=float(bits[index]) if bits is not None else None,
        percentile=float(percentile[index]) if percentile is not None else None,
    )


def _worst_first(row: Row) -> float:
    return row.importance_weighted


def _text(rows: Sequence[Row], about: dict[str, Any], scored: int) -> Iterator[str]:
    how = f", binarised by {about['binarised']}" if about["binarised"] else ""
    yield (
        f"{len(rows)} of {scored} images, the least typical first; {about['model']}/"
        f"{about['version']}, {about['likelihood']}{how}; bounds on log p(x) over "
        f"{about['dimensions']} dimensions in {about['unit']}, {about['samples']} samples"
    )
    yield f"{'percentile':>10} {'bound':>12} {'±':>8} {'ESS':>7} {'KL':>9} {'bits/dim':>9}  image"
    for row in rows:
        yield (
            f"{_cell(row.percentile, 10, 1)} {_cell(row.importance_weighted, 12, 2)} "
            f"{_cell(row.standard_error, 8, 2)} {_cell(row.effective_sample_size, 7, 1)} "
            f"{_cell(row.kl, 9, 2)} {_cell(row.bits_per_dimension, 9, 4)}  {row.path}"
        )


def _cell(value: float | None, width: int, digits: int) -> str:
    return "–".rjust(width) if value is None else f"{value:{width}.{digits}f}"
