"""Bounds on log p(x) of images, from a bundle's encoder and decoder.

A bound belongs to the data that the likelihood is defined on. For a Bernoulli model that is a
binary image: grey ones are binarised first, and the same binary image is shown to the
encoder and scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from model.likelihood.estimate import Binarise, Estimate
from model.pixels import Floats, Images


@dataclass(frozen=True, slots=True)
class BoundOptions:
    """K samples, how a Bernoulli model's images are made binary (None: as trained), the seed."""

    samples: int
    binarise: Binarise | None
    seed: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Estimates for n images, float64 [n] each, in nats over `dimensions` values.

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
    samples: int
    seed: int
    binarised: Binarise | None
    """How the images were made binary; None when they were scored as they are."""
    spec: LikelihoodSpec
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


def check(
    spec: LikelihoodSpec | None, options: BoundOptions, *, field: str | None = None
) -> LikelihoodSpec:
    """Returns the likelihood for the bounds; `field` is the option that requested them.

    Raises:
        UnsupportedByModelError: the model has no likelihood.
        InvalidFieldError: `binarise` was given and the likelihood is not Bernoulli.
    """
    if spec is None:
        detail = "the model has no likelihood, so it has no bound on log p(x)"
        raise UnsupportedByModelError(detail, field=field)
    if not spec.likelihood.is_binary and options.binarise is not None:
        detail = f"binarise applies only to Bernoulli models, this one is {spec.family}"
        raise InvalidFieldError(detail, field="binarise")
    return spec


async def estimate(
    engine: Engine, images: Images, options: BoundOptions, *, offload: Offload, timing: Timing
) -> Bounds:
    """Bounds of images uint8 [n, h, w, c] with K draws from the posterior of each.

    Image i's draws depend on (seed, i, K) alone: other images do not change them.

    Raises:
        UnsupportedByModelError, InvalidFieldError: as `check` raises.
        EngineFailedError: the outputs of the graphs give no finite bound.
    """
    spec, seed = check(engine.manifest.likelihood, options), options.seed
    how = estimates.binarisation(spec, options.binarise)
    shown, targets = await offload(
        len(images) * engine.row_pixels, estimates.prepare, images, how, seed
    )
    mean, logvar = timing.add(await engine.encode(shown)).outputs
    size = options.samples * engine.row_pixels
    found = []
    # One image after the other: memory stays at K decoded rows, whatever the request.
    for row in range(len(images)):
        latents, epsilon = await offload(
            size, estimates.draw, options.samples, seed, row, mean[row], logvar[row]
        )
        params = timing.add(await engine.params(latents)).outputs[0]
        one = await offload(
            size,
            estimates.estimate,
            spec,
            targets[row],
            params,
            latents,
            epsilon,
            logvar[row],
            engine.bundle.mixture,
        )
        found.append(_finite(one, row))
    weighted = _of_all(found, "importance_weighted")
    reference = engine.bundle.reference
    return Bounds(
        reconstruction=_of_all(found, "reconstruction"),
        kl=_kl(found, mean, logvar),
        importance_weighted=weighted,
        standard_error=_of_all(found, "standard_error"),
        effective_sample_size=_of_all(found, "effective_sample_size"),
        percentile=reference.percentiles(weighted, how or "none", options.samples)
        if reference
        else None,
        samples=options.samples,
        seed=seed,
        binarised=how,
        spec=spec,
    )


def _of_all(found: Sequence[Estimate], name: str) -> Nats:
    return np.array([getattr(one, name) for one in found])


def _kl(found: Sequence[Estimate], mean: Floats, logvar: Floats) -> Nats:
    """The KL from the draws if the prior is a mixture, else in closed form."""
    estimated = [one.kl for one in found if one.kl is not None]
    return np.array(estimated) if estimated else bounds.kl(mean, logvar)


def _finite(estimate: Estimate, row: int) -> Estimate:
    if math.isfinite(estimate.importance_weighted) and math.isfinite(estimate.reconstruction):
        return estimate
    raise EngineFailedError(f"the bound on log p(x) of image {row} is not finite", index=row)
