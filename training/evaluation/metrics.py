"""The metrics of a model, from those of each test image: means with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from model.bundle.manifest import Metric
from model.likelihood.families import FAMILIES
from model.pixels import Floats
from training.config.run import TrainingConfig
from training.fit.running_sums import ACTIVE_VARIANCE


@dataclass(frozen=True)
class Measured:
    """Metrics of each image, in nats unless stated otherwise."""

    mean: Floats
    """Posterior means [n, *latent_shape]."""
    logvar: Floats
    """Posterior log-variances [n, *latent_shape]."""
    bound: NDArray[np.float64]
    """Importance-weighted bound [n]."""
    log_likelihood: NDArray[np.float64]
    """log p(x|z) [n], averaged over the K samples."""
    kl: NDArray[np.float64]
    """KL[q(z|x) ‖ p(z)] [n]: in closed form, or for a mixture from the K samples."""
    squared_error: NDArray[np.float64]
    """Σ (x − pixels)² [n], `pixels` being decoded from the posterior mean."""


def to_metrics(measured: Measured, config: TrainingConfig, digest: str) -> dict[str, Metric]:
    """By name; `digest` is the SHA-256 of the pixels that were measured on."""
    bits = {"binarise": config.evaluation.binarise_seed} if config.binarise == "sample" else {}
    seeds = bits | {"importance": config.evaluation.importance_seed}
    drawn = (seeds, config.evaluation.samples)
    kl, dimensions = measured.kl, config.model.dimensions
    if FAMILIES[config.model.likelihood.family].is_density:
        unit, of_unit, nats = "nats", "of a density, so it may be negative", 1.0
    else:
        unit, of_unit, nats = "bits", "of the importance-weighted bound", math.log(2)
    how = "binarised by NumPy's PCG64; " if bits else ""
    metrics = {
        "bound": _metric(
            measured.bound,
            f"importance-weighted, in nats; {how}SHA-256 of the pixels: {digest}",
            *drawn,
        ),
        "elbo": _metric(measured.log_likelihood - kl, "in nats", *drawn),
        "log_likelihood": _metric(measured.log_likelihood, "E log p(x|z), in nats", *drawn),
        f"{unit}_per_dimension": _metric(-measured.bound / (dimensions * nats), of_unit, *drawn),
        "kl": _metric(kl, "of the posterior from the mixture, estimated, in nats", *drawn)
        if config.model.prior.family == "mixture"
        else _metric(kl, "in nats", bits),
        "mean_squared_error": _metric(
            measured.squared_error / dimensions,
            "of the posterior mean's decoding, for each pixel",
            bits,
        ),
        "active_units": Metric(
            value=int((measured.mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
            n=len(kl),
            seeds=bits,
            note=f"posterior mean's variance above {ACTIVE_VARIANCE}",
        ),
    }
    if config.evaluation.split == "test":
        return metrics
    # Figures are compared where their notes agree, and those of another split must not be.
    of = f"of {config.evaluation.split} images"
    return {
        name: metric.model_copy(update={"note": f"{of}; {metric.note}"})
        for name, metric in metrics.items()
    }


def _metric(
    values: NDArray[np.float64],
    note: str,
    seeds: Mapping[str, int],
    samples: int | None = None,
) -> Metric:
    count = len(values)
    error = float(values.std(ddof=1) / math.sqrt(count)) if count > 1 else None
    return Metric(
        value=float(values.mean()),
        standard_error=error,
        n=count,
        samples=samples,
        seeds=seeds,
        note=note,
    )


def print_metrics(metrics: Mapping[str, Metric], console: Console | None) -> None:
    """Prints a line for each metric, by default on standard error."""
    shown = console or Console(stderr=True)
    for name, metric in metrics.items():
        error = f" ± {metric.standard_error:.4g}" if metric.standard_error else ""
        shown.print(f"{name}: {metric.value:.5g}{error}", highlight=False, soft_wrap=True)
