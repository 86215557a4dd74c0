"""The figures of a model, from those of each test image: means with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.bundle.manifest import Metric
from model.config import GaussianConfig
from model.pixels import Floats
from training.config.run import TrainingConfig
from training.fit.running_sums import ACTIVE_VARIANCE


@dataclass(frozen=True)
class Measured:
    """Figures of each image, in nats unless said otherwise."""

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
    how = "binarised by NumPy's PCG64; " if bits else ""
    kl, mixed = measured.kl, config.model.prior.family == "mixture"
    drawn = {
        "bound": (
            measured.bound,
            f"importance-weighted, in nats; {how}SHA-256 of the pixels: {digest}",
        ),
        "elbo": (measured.log_likelihood - kl, "in nats"),
        "log_likelihood": (measured.log_likelihood, "E log p(x|z), in nats"),
        **_per_dimension(measured.bound, config),
        **({"kl": (kl, "of the posterior from the mixture, estimated, in nats")} if mixed else {}),
    }
    computed = {
        **({} if mixed else {"kl": (kl, "in nats")}),
        "mean_squared_error": (
            measured.squared_error / config.model.dimensions,
            "of the posterior mean's decoding, for each pixel",
        ),
    }
    samples = config.evaluation.samples
    seeds = bits | {"importance": config.evaluation.importance_seed}
    active = int((measured.mean.var(axis=0) > ACTIVE_VARIANCE).sum())
    metrics = {
        **{name: _metric(*entry, seeds, samples) for name, entry in drawn.items()},
        **{name: _metric(*entry, bits) for name, entry in computed.items()},
        "active_units": Metric(
            value=active,
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


def _per_dimension(
    bound: NDArray[np.float64], config: TrainingConfig
) -> dict[str, tuple[NDArray[np.float64], str]]:
    dimensions = config.model.dimensions
    if isinstance(config.model.likelihood, GaussianConfig):
        return {"nats_per_dimension": (-bound / dimensions, "of a density, so it may be negative")}
    values = -bound / (dimensions * math.log(2))
    return {"bits_per_dimension": (values, "of the importance-weighted bound")}


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
