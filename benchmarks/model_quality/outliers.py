"""How well `/score` detects foreign images: `python -m benchmarks.model_quality.outliers --help`.

The whole service runs in this process and fits, binarises and scores the images as those of any
caller. Each value of the response is one score, with the sign that should make it higher for
foreign images. The command prints a table of the areas under the ROC curve.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from app.factory import create_app
from app.settings import Settings
from benchmarks.exported import SHIPPED
from benchmarks.measure import machine
from benchmarks.model_quality.foreign import USUAL, blank, sets
from benchmarks.report.tables import Table
from model.bundle.bundle import BundleError, open_bundle
from training.errors import TrainingError

METRICS: Mapping[str, int] = {
    "importance_weighted": -1,
    "elbo": -1,
    "reconstruction": -1,
    "kl": 1,
    "percentile": -1,
}
"""The values of `/score`, with the sign that makes those of foreign images high."""

_AT_ONCE = 50
_POLL_SECONDS = 0.05

Scores = NDArray[np.float64]
Values = Mapping[str, Scores]


@dataclass(frozen=True, slots=True)
class Auroc:
    """The probability that a foreign image has a higher score than a usual one; ties count half.

    1 separates all images, 0.5 is chance, and below 0.5 the scores are reversed.
    """

    value: float
    standard_error: float
    """0 if the two sets do not overlap."""

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.standard_error:.4f}"


def auroc(usual: Scores, foreign: Scores) -> Auroc:
    """Computes the area from independent scores [n] and [m], n and m at least 2.

    The standard error is that of DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas
    under two or more correlated receiver operating characteristic curves: a nonparametric
    approach", for one curve: from the placement of each image among the others.

    Raises:
        ValueError: a side has fewer than two scores.
    """
    if min(len(usual), len(foreign)) < 2:
        msg = f"needs two scores of each, got {len(usual)} usual and {len(foreign)} foreign"
        raise ValueError(msg)
    of_foreign = _placements(foreign, usual)
    of_usual = 1 - _placements(usual, foreign)
    variance = of_foreign.var(ddof=1) / len(foreign) + of_usual.var(ddof=1) / len(usual)
    return Auroc(float(of_foreign.mean()), math.sqrt(variance))


def _placements(values: Scores, others: Scores) -> Scores:
    """For each value, the share of `others` below it, equal ones counting half."""
    ordered = np.sort(others)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(ranks / (2 * len(others)), dtype=np.float64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 if images, bundle or service fail."""
    options = _parser().parse_args(arguments)
    try:
        bundle = open_bundle(options.bundle)
        manifest = bundle.manifest
        images = sets(
            options.digits, options.others, manifest.reference, manifest.input, options.count
        )
        images = {**images, "blank": [blank(manifest.input)]}
        folder = options.bundle.resolve()
        settings = Settings(repository=str(folder.parents[1]), default_model=folder.parent.name)
        scored = asyncio.run(_score(settings, images))
    except (BundleError, TrainingError, httpx.HTTPError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(_render(scored))
    return 0


async def _score(settings: Settings, images: Mapping[str, Sequence[bytes]]) -> dict[str, Values]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        return {name: await _score_set(client, name, files) for name, files in images.items()}


async def _score_set(client: httpx.AsyncClient, name: str, files: Sequence[bytes]) -> Values:
    answers: list[dict[str, Any]] = []
    for start in range(0, len(files), _AT_ONCE):
        part = [("images", ("", file, "image/png")) for file in files[start : start + _AT_ONCE]]
        # Each request needs another seed, because row i of a seed is the same in every request.
        answer = await client.post(f"/score?seed={start}", files=part, timeout=None)
        answers.append(answer.raise_for_status().json())
    print(f"{name}: {len(files)} scored", file=sys.stderr)
    return {
        metric: np.concatenate([answer[metric] for answer in answers]).astype(np.float64)
        for metric in METRICS
        if answers[0][metric] is not None
    }


def _render(scored: Mapping[str, Values]) -> str:
    here, usual = machine.describe(), scored[USUAL]
    shown = {metric: sign for metric, sign in METRICS.items() if metric in usual}
    foreign = {name: values for name, values in scored.items() if name not in (USUAL, "blank")}
    areas = [
        {"metric": f"`{metric}`"}
        | {
            name: str(auroc(sign * usual[metric], sign * values[metric]))
            for name, values in foreign.items()
        }
        for metric, sign in shown.items()
    ]
    quartiles = [
        {"images": name, "n": str(len(values["elbo"]))}
        | {f"`{metric}`": _quartiles(values[metric]) for metric in shown}
        for name, values in scored.items()
    ]
    head = f"{here.processor}, {here.cores} cores, {here.date}, commit {here.commit}"
    return "\n\n".join([head, Table("", areas).markdown(), Table("", quartiles).markdown()])


def _quartiles(values: Scores) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.1f} ({low:.1f} … {high:.1f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_quality.outliers", description=__doc__
    )
    parser.add_argument("--digits", type=Path, required=True, help="folder of MNIST, as for --data")
    parser.add_argument(
        "--others", type=Path, required=True, help="folder of photographs, as for --data"
    )
    parser.add_argument("--bundle", type=Path, default=SHIPPED, help="the bundle's folder")
    parser.add_argument("--count", type=int, default=1000, help="images of each set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
