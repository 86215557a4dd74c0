"""Two estimates of log p(x) of one image over their number of samples: `python -m
benchmarks.model_quality.likelihood_plot --help`.

The naive estimate, log mean p(x|z), draws z from the prior. The importance-weighted one draws z
from the encoder's posterior and weights it. Both use the bundle's graphs, in several runs. The
command draws the plot of docs/likelihoods.md and prints its values.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.exported import SHIPPED
from benchmarks.report.tables import Table
from model import noise
from model.bundle.bundle import DECODER, ENCODER, Bundle, BundleError, open_bundle
from model.bundle.reference import SAMPLES
from model.cores import available_cores
from model.images.fitting import fit
from model.images.reading import ImageError, read
from model.likelihood import bounds, estimate
from model.likelihood.bounds import Nats
from model.noise import Purpose
from model.pixels import Floats
from model.runtime import Graph

_MAX_PIXELS = 1_000_000
_ROWS = 1000
_SEED = 0
_INK = "#1f4e79"
_SECOND_INK = "#c0504d"


@dataclass(frozen=True, slots=True)
class Curves:
    """Running estimates [runs, K] after 1 … K samples, in nats."""

    naive: Nats
    weighted: Nats
    elbo: float
    """The ELBO over all samples of the posterior."""


@dataclass(frozen=True, slots=True)
class _Scorer:
    """One image's binary values, its posterior, and the graph that decodes draws."""

    bundle: Bundle
    decoder: Graph
    target: Floats
    mean: Floats
    logvar: Floats

    def log_likelihood(self, latents: Floats) -> Nats:
        spec = self.bundle.manifest.likelihood
        if spec is None:
            raise BundleError(f"{self.bundle.folder}: its manifest states no likelihood")
        params = self.decoder.run(latents, ["params"])[0]
        return spec.log_probability(self.target, params)


def measure(bundle: Bundle, image: bytes, *, samples: int, runs: int) -> Curves:
    """Computes both estimates for an image file, binarised as in training.

    Raises:
        BundleError: the bundle has no likelihood.
        ImageError: the file is not an image.
    """
    scorer = _scorer(bundle, image)
    seeds = range(1, runs + 1)
    with ThreadPoolExecutor(available_cores()) as pool:
        naive = list(pool.map(partial(_naive, scorer, samples), seeds))
        drawn = list(pool.map(partial(_weighted, scorer, samples), seeds))
    elbo = np.mean([one for _, one in drawn]) - bounds.kl(scorer.mean, scorer.logvar)[0]
    weighted = np.stack([one for one, _ in drawn])
    return Curves(_running(np.stack(naive)), _running(weighted), float(elbo))


def draw(curves: Curves) -> Figure:
    """Draws every run as a line over the number of samples."""
    figure = Figure(figsize=(9, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    counts = np.arange(1, curves.naive.shape[1] + 1)
    shown = np.unique(np.geomspace(1, len(counts), 400).astype(int)) - 1
    for values, colour, label in (
        (curves.weighted, _INK, "importance-weighted: z from the encoder"),
        (curves.naive, _SECOND_INK, "naive: z from the prior"),
    ):
        lines = axes.plot(counts[shown], values[:, shown].T, color=colour, linewidth=1, alpha=0.8)
        lines[0].set_label(label)
    axes.axhline(curves.elbo, color="grey", linewidth=1, linestyle="--", label="ELBO")
    axes.axvline(SAMPLES, color="grey", linewidth=1, linestyle=":", label=f"K = {SAMPLES}")
    axes.set(
        xscale="log",
        xlabel="samples K",
        ylabel="estimate of log p(x), nats",
        title=f"One image, {len(curves.naive)} runs of each estimate",
        ylim=(1.15 * float(np.median(curves.naive[:, 9])), 0.8 * float(curves.weighted.max())),
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def table(curves: Curves) -> str:
    """Mean and standard deviation over the runs, at powers of ten and at the service's default."""
    most = curves.naive.shape[1]
    counts = {*(10**power for power in range(9)), SAMPLES, most}
    columns = (("naive", curves.naive), ("importance-weighted", curves.weighted))
    rows = []
    for count in sorted(one for one in counts if one <= most):
        row = {"K": f"{count:,}"}
        for name, values in columns:
            at = values[:, count - 1]
            row[name] = f"{at.mean():.2f} ± {at.std(ddof=1):.2f}"
        rows.append(row)
    return f"{Table('', rows, texts=3).markdown()}\n\nELBO: {curves.elbo:.2f}"


def _scorer(bundle: Bundle, content: bytes) -> _Scorer:
    manifest = bundle.manifest
    opened = read(io.BytesIO(content), max_pixels=_MAX_PIXELS)
    image = fit(opened, manifest.input, manifest.preprocessing).pixels[None]
    how = estimate.binarisation(manifest.likelihood, None) if manifest.likelihood else None
    _, target = estimate.prepare(image, how, _SEED)
    mean, logvar = Graph(bundle.read(ENCODER)).run(target)
    return _Scorer(bundle, Graph(bundle.read(DECODER)), target[0], mean, logvar)


def _naive(scorer: _Scorer, samples: int, seed: int) -> Nats:
    """log p(x|z) [K] for z ~ N(0, I)."""
    drawn = _normal(scorer, samples, seed, Purpose.PRIOR)
    return np.concatenate([scorer.log_likelihood(latents) for latents in drawn])


def _weighted(scorer: _Scorer, samples: int, seed: int) -> tuple[Nats, float]:
    """log w [K] for z ~ q(z|x), and the mean of log p(x|z)."""
    weights, total = [], 0.0
    for epsilon in _normal(scorer, samples, seed, Purpose.POSTERIOR):
        latents = bounds.reparameterize(scorer.mean, scorer.logvar, epsilon)
        found = scorer.log_likelihood(latents)
        weights.append(bounds.log_importance_weight(found, latents, epsilon, scorer.logvar))
        total += float(found.sum())
    return np.concatenate(weights), total / samples


def _normal(scorer: _Scorer, samples: int, seed: int, purpose: Purpose) -> Iterator[Floats]:
    shape = scorer.mean.shape[1:]
    for first in range(0, samples, _ROWS):
        rows = min(_ROWS, samples - first)
        yield noise.standard_normal(seed, purpose, first, rows, shape)


def _running(log_weights: NDArray[np.float64]) -> Nats:
    """logsumexp of the first k of log w [runs, K], minus log k, for k = 1 … K."""
    sums = np.logaddexp.accumulate(log_weights, axis=1)
    return np.asarray(sums - np.log(np.arange(1, log_weights.shape[1] + 1)), dtype=np.float64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the plot; returns 1 if the bundle or the image is unusable."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_quality.likelihood_plot")
    parser.description = __doc__
    parser.add_argument("image", type=Path, help="PNG, JPEG or WebP")
    parser.add_argument("--bundle", type=Path, default=SHIPPED, help="the bundle's folder")
    parser.add_argument("--samples", type=int, default=100_000, help="the largest K")
    parser.add_argument("--runs", type=int, default=5, help="runs of each estimate, at least 2")
    parser.add_argument("-o", "--output", type=Path, help="file for the plot (no plot)")
    options = parser.parse_args(arguments)
    try:
        bundle, image = open_bundle(options.bundle), options.image.read_bytes()
        curves = measure(bundle, image, samples=options.samples, runs=options.runs)
        if options.output:
            draw(curves).savefig(options.output)
    except (BundleError, ImageError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(table(curves))
    return 0


if __name__ == "__main__":
    sys.exit(main())
