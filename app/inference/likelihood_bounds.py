"""Bounds on log p(x) of images, from a bundle's encoder and decoder.

A bound belongs to the data that the likelihood is defined on. For a Bernoulli model that is a
binary image: grey ones are binarised first, and the same binary image is shown to the
encoder and scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from app.concurrency import Offload
from app.errors import EngineFailedError, InvalidFieldError, UnsupportedByModelError
from app.inference.batch import Timing
from app.inference.engine import Engine
from model.bundle.manifest import LikelihoodSpec
from model.config import Family
from model.likelihood import bounds
from model.likelihood import estimate as estimates
from model.likelihood.bounds import Nats
from model.likelihood.estimate import Binarise
from model.pixels import Images


@dataclass(frozen=True)
class BoundOptions:
    """What bounds are estimated with."""

    spec: LikelihoodSpec
    samples: int
    """K, for each image."""
    binarised: Binarise | None
    """How the images are made binary; None when they are scored as they are."""
    seed: int


@dataclass(frozen=True)
class Bounds(BoundOptions):
    """Estimates for n images, float64 [n] each, in nats over `dimensions` values, and the options
    of the estimate.

    `reconstruction` is log p(x|z) averaged over the K samples, and so is `kl` where the prior is a
    mixture. `importance_weighted` is
    logsumexp(log w) − log K; its expectation is never below the ELBO and rises with K (Burda
    et al. 2016). Its `standard_error` is over the K samples and NaN where K is 1;
    `effective_sample_size` is that of the weights, 1 … K.
    """

    reconstruction: Nats
    kl: Nats
    importance_weighted: Nats
    standard_error: Nats
    effective_sample_size: Nats
    percentile: Nats | None
    """0 … 100, of `importance_weighted` among the bundle's reference; None where the bundle has
    none that is comparable."""
    unit: str = "nats"

    @property
    def likelihood(self) -> Family:
        return self.spec.family

    @property
    def dimensions(self) -> int:
        return self.spec.dimensions

    @property
    def elbo(self) -> Nats:
        return self.reconstruction - self.kl

    @property
    def bits_per_dimension(self) -> Nats | None:
        """−bound/(D ln 2) of the importance-weighted bound; None for a density, which has none."""
        if self.spec.likelihood.is_density:
            return None
        bits: Nats = -self.importance_weighted / (self.dimensions * math.log(2))
        return bits

    @property
    def nats_per_dimension(self) -> Nats | None:
        """−bound/D of a density on pixels in [0, 1], which may be negative; None for others."""
        if not self.spec.likelihood.is_density:
            return None
        return -self.importance_weighted / self.dimensions


def check_likelihood(
    spec: LikelihoodSpec | None, binarise: Binarise | None, field: str | None = None
) -> LikelihoodSpec:
    """Returns the likelihood for the bounds; `field` is the option that requested them.

    Raises:
        UnsupportedByModelError: the model has no likelihood.
        InvalidFieldError: `binarise` was given and the likelihood is not Bernoulli.
    """
    if spec is None:
        detail = "the model has no likelihood, so it has no bound on log p(x)"
        raise UnsupportedByModelError(detail, field=field)
    if not spec.likelihood.is_binary and binarise is not None:
        detail = f"binarise applies only to Bernoulli models, this one is {spec.family}"
        raise InvalidFieldError(detail, field="binarise")
    return spec


async def estimate(
    engine: Engine, images: Images, options: BoundOptions, offload: Offload, timing: Timing
) -> Bounds:
    """Bounds of images uint8 [n, h, w, c] with K draws from the posterior of each.

    Image i's draws depend on (seed, i, K) alone: other images do not change them.

    Raises:
        EngineFailedError: the outputs of the graphs give no finite bound.
    """
    spec, samples, seed = options.spec, options.samples, options.seed
    how, mixture, reference = options.binarised, engine.bundle.mixture, engine.bundle.reference
    shown, targets = await offload(
        len(images) * engine.row_pixels, estimates.prepare, images, how, seed
    )
    mean, logvar = timing.add(await engine.encode(shown)).outputs
    size = samples * engine.row_pixels
    found = []
    # One image after the other: memory stays at K decoded rows, whatever the request.
    for row, (target, center, width) in enumerate(zip(targets, mean, logvar, strict=True)):
        latents, epsilon = await offload(size, estimates.draw, samples, seed, row, center, width)
        params = timing.add(await engine.params(latents)).outputs[0]
        given = params, latents, epsilon, width, mixture
        one = await offload(size, estimates.estimate, spec, target, *given)
        if not (math.isfinite(one.importance_weighted) and math.isfinite(one.reconstruction)):
            msg = f"the bound on log p(x) of image {row} is not finite"
            raise EngineFailedError(msg, index=row)
        found.append(one)

    def column(name: str) -> Nats:
        return np.array([getattr(one, name) for one in found])

    weighted = column("importance_weighted")
    return Bounds(
        reconstruction=column("reconstruction"),
        kl=column("kl") if mixture else bounds.kl(mean, logvar),
        importance_weighted=weighted,
        standard_error=column("standard_error"),
        effective_sample_size=column("effective_sample_size"),
        percentile=None
        if reference is None
        else reference.percentiles(weighted, how or "none", samples),
        **vars(options),
    )
