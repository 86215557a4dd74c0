"""Bounds on log p(x) of pictures, from a bundle's encoder and decoder.

A bound belongs to the data that the likelihood is defined on. For a Bernoulli model that is a
binary picture: grey ones are binarised first, and the same binary picture is shown to the
encoder and scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.engine import Engine
from app.errors import InvalidFieldError, UnsupportedByModelError
from app.offload import Offload
from app.timing import Timing
from model import likelihood, noise, pixels
from model.likelihood import Nats
from model.manifest import LikelihoodSpec
from model.noise import Purpose
from model.pixels import Floats, Images

Binarise = Literal["sample", "threshold"]


@dataclass(frozen=True, slots=True)
class BoundOptions:
    """K samples, how a Bernoulli model's pictures are made binary (None: as trained), the seed."""

    samples: int
    binarise: Binarise | None
    seed: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Estimates for n pictures, float64 [n] each, in nats over `likelihood.dimensions` values.

    `reconstruction` is log p(x|z) averaged over the K samples. `importance_weighted` is
    logsumexp(log w) − log K; its expectation is never below the ELBO and rises with K (Burda
    et al. 2016).
    """

    reconstruction: Nats
    kl: Nats
    importance_weighted: Nats
    options: BoundOptions
    binarise: Binarise | None
    """How the pictures were made binary; None when they were scored as they are."""
    likelihood: LikelihoodSpec

    @property
    def elbo(self) -> Nats:
        return self.reconstruction - self.kl


def check(spec: LikelihoodSpec | None, options: BoundOptions) -> LikelihoodSpec:
    """The likelihood that the bounds are computed with.

    Raises:
        UnsupportedByModelError: the model has no likelihood.
        InvalidFieldError: `binarise` was given and the likelihood is not Bernoulli.
    """
    if spec is None:
        detail = "the model's manifest states no likelihood, so there is no bound on log p(x)"
        raise UnsupportedByModelError(detail, field="elbo_samples")
    if spec.family != "bernoulli" and options.binarise is not None:
        detail = f"binarise is for Bernoulli models, this one is {spec.family}"
        raise InvalidFieldError(detail, field="binarise")
    return spec


async def estimate(
    engine: Engine, images: Images, options: BoundOptions, *, offload: Offload, timing: Timing
) -> Bounds:
    """Bounds of pictures uint8 [n, h, w, c] with K draws from the posterior of each.

    Picture i's draws depend on (seed, i, K) alone: other pictures do not change them, and another
    K draws all anew. Errors as `check` raises.
    """
    spec = check(engine.manifest.likelihood, options)
    how = _binarisation(spec, options.binarise)
    shown, targets = await offload(
        len(images) * engine.row_pixels, _prepare, images, how, options.seed
    )
    mean, logvar = timing.add(await engine.encode(shown)).outputs
    size = options.samples * engine.row_pixels
    reconstruction, weighted = np.empty(len(images)), np.empty(len(images))
    # One picture after the other: memory stays at K decoded rows, whatever the request.
    for row in range(len(images)):
        latents, epsilon = await offload(size, _draw, options, row, mean[row], logvar[row])
        params = timing.add(await engine.params(latents)).outputs[0]
        reconstruction[row], weighted[row] = await offload(
            size, _score, spec, targets[row], params, latents, epsilon, logvar[row]
        )
    return Bounds(reconstruction, likelihood.kl(mean, logvar), weighted, options, how, spec)


def _prepare(images: Images, how: Binarise | None, seed: int) -> tuple[Images, Floats]:
    """What the encoder is shown, and what is scored, in [0, 1]."""
    shown = images if how is None else pixels.binarise(images, how, seed=seed)
    return shown, pixels.to_float(shown)


def _draw(options: BoundOptions, row: int, mean: Floats, logvar: Floats) -> tuple[Floats, Floats]:
    """K latents [K, *latent_shape] of one picture's posterior, and the noise they came from."""
    shape = (options.samples, *mean.shape)
    drawn = noise.standard_normal(options.seed, Purpose.POSTERIOR, row, 1, shape)
    epsilon = drawn.reshape(shape)
    return likelihood.reparameterize(mean, logvar, epsilon), epsilon


def _score(
    spec: LikelihoodSpec,
    target: Floats,
    params: Floats,
    latents: Floats,
    epsilon: Floats,
    logvar: Floats,
) -> tuple[float, float]:
    """(reconstruction term, importance-weighted bound) of one picture."""
    log_likelihood = likelihood.log_likelihood(spec.family, spec.scale, target, params)
    log_weights = likelihood.log_importance_weight(log_likelihood, latents, epsilon, logvar)
    bound = likelihood.importance_weighted_bound(log_weights[None])
    return float(log_likelihood.mean()), float(bound[0])


def _binarisation(spec: LikelihoodSpec, wanted: Binarise | None) -> Binarise | None:
    if spec.family != "bernoulli" or wanted is not None:
        return wanted
    # Data that was binary already passes a threshold unchanged.
    return "sample" if spec.binarise == "sample" else "threshold"
