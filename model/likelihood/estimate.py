"""One image's bounds on log p(x) from K draws: what `/score` answers and the reference holds.

Serving runs the graphs between these steps through its batchers, training by itself; what goes
into the graphs and what is made of their answers is the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from model import noise, pixels
from model.likelihood import bounds
from model.likelihood.bounds import Nats
from model.likelihood.spec import LikelihoodSpec
from model.noise import Purpose
from model.pixels import Floats, Images
from model.prior.mixture import Mixture

Binarise = Literal["sample", "threshold"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Metrics of one image, in nats except the last."""

    reconstruction: float
    """log p(x|z) averaged over the K draws."""
    importance_weighted: float
    standard_error: float
    """Of `importance_weighted` over its draws; NaN where K is 1."""
    effective_sample_size: float
    """Of the K weights, 1 … K."""
    kl: float | None
    """KL[q(z|x) ‖ p(z)] estimated from the K draws; None for N(0, I), which has a closed form."""


def binarisation(spec: LikelihoodSpec, wanted: Binarise | None) -> Binarise | None:
    """How images are binarised: as requested, else as in training; None: not at all."""
    if not spec.likelihood.is_binary or wanted is not None:
        return wanted
    # Data that was binary already passes a threshold unchanged.
    return "sample" if spec.binarise == "sample" else "threshold"


def prepare(images: Images, how: Binarise | None, seed: int) -> tuple[Images, Floats]:
    """The same images for the encoder, uint8 [n, h, w, c], and for the likelihood, float32
    [n, c, h, w] in [0, 1]."""
    shown = images if how is None else pixels.binarise(images, how, seed=seed)
    return shown, pixels.to_float(shown)


def draw(samples: int, seed: int, row: int, mean: Floats, logvar: Floats) -> tuple[Floats, Floats]:
    """K latents [K, *latent_shape] of one image's posterior, and the noise they came from.

    They depend only on (seed, row, K); another K may give entirely different ones.
    """
    shape = (samples, *mean.shape)
    drawn = noise.standard_normal(seed, Purpose.POSTERIOR, row, 1, shape)
    epsilon = drawn.reshape(shape)
    return bounds.reparameterize(mean, logvar, epsilon), epsilon


def estimate(
    spec: LikelihoodSpec,
    target: Floats,
    params: Floats,
    latents: Floats,
    epsilon: Floats,
    logvar: Floats,
    mixture: Mixture | None = None,
) -> Estimate:
    """The metrics of one image [c, h, w] from the decoder's `params` [K, c, h, w].

    `latents` and `epsilon` [K, *latent_shape] are what `draw` gave for the posterior of `logvar`;
    `mixture` is the prior, where it is not N(0, I).
    """
    # What is no number makes figures that are none, which the caller looks for.
    with np.errstate(over="ignore", invalid="ignore"):
        found = spec.log_probability(target, params)
        log_prior = None if mixture is None else mixture.log_density(latents)
        weights = bounds.log_importance_weight(found, latents, epsilon, logvar, log_prior)[None]
        return Estimate(
            float(found.mean()),
            float(bounds.importance_weighted_bound(weights)[0]),
            float(bounds.standard_error(weights)[0]),
            float(bounds.effective_sample_size(weights)[0]),
            None if log_prior is None else _kl(log_prior, logvar),
        )


def _kl(log_prior: Nats, logvar: Floats) -> float:
    return float(bounds.kl_estimate(log_prior.mean(keepdims=True), logvar[None])[0])
