"""How well `/score` detects foreign images: `python -m benchmarks.model_quality.outliers --help`.

The whole service runs in this process and fits, binarises and scores the images as those of any
caller. Each value of the response is one score, with the sign that should make it higher for
foreign images. The command prints a table of the areas under the ROC curve.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.factory import create_app
from app.settings import Settings
from benchmarks.exported import SHIPPED
from benchmarks.measure import machine
from benchmarks.model_quality.auroc import Scores, auroc
from benchmarks.model_quality.foreign import USUAL, blank, sets
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

Figures = Mapping[str, Scores]


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


async def _score(settings: Settings, images: Mapping[str, Sequence[bytes]]) -> dict[str, Figures]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        return {name: await _score_set(client, name, files) for name, files in images.items()}


async def _score_set(client: httpx.AsyncClient, name: str, files: Sequence[bytes]) -> Figures:
    answers: list[dict[str, Any]] = []
    for start in range(0, len(files), _AT_ONCE):
        part = [("images", ("", file, "image/png")) for file in files[start : start + _AT_ONCE]]
        # Each request needs another seed, because row i of a seed is the same in every request.
        answer = await client.post(f"/score?seed={start}", files=part, timeout=None)
        answers.append(answer.raise_for_status().json())
    print(f"{name}: {len(files)} scored", file=sys.stderr)
    return {
        figure: np.concatenate([answer[figure] for answer in answers]).astype(np.float64)
        for figure in METRICS
        if answers[0][figure] is not None
    }


def _render(scored: Mapping[str, Figures]) -> str:
    here, usual = machine.describe(), scored[USUAL]
    lines = [
        f"{here.processor}, {here.cores} cores, {here.date}, commit {here.commit}",
        "",
        "| figure | " + " | ".join(name for name in scored if _is_set(name)) + " |",
        "| --- |" + " --- |" * sum(map(_is_set, scored)),
    ]
    shown = {figure: sign for figure, sign in METRICS.items() if figure in usual}
    for figure, sign in shown.items():
        cells = []
        for name in filter(_is_set, scored):
            area = auroc(sign * usual[figure], sign * scored[name][figure])
            cells.append(f"{area.value:.4f} ± {area.standard_error:.4f}")
        lines.append(f"| `{figure}` | " + " | ".join(cells) + " |")
    lines += ["", "| images | n | " + " | ".join(f"`{figure}`" for figure in shown) + " |"]
    lines += ["| --- |" + " --- |" * (1 + len(shown))]
    for name, figures in scored.items():
        cells = [_quartiles(figures[figure]) for figure in shown]
        lines.append(f"| {name} | {len(figures['elbo'])} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _is_set(name: str) -> bool:
    return name not in (USUAL, "blank")


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
