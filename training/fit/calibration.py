"""The likelihood that belongs to trained weights: its family, and its scale as numbers."""

from __future__ import annotations

import math

import torch

from model.bundle.manifest import LikelihoodSpec, Scale
from model.config import LEVELS, SCALE_FLOOR, BernoulliConfig, LogisticConfig, ModelConfig
from model.networks.vae import VAE
from model.pixels import Images
from training.data.dataset import spread_rows
from training.data.memmap import ImageRows, rows_at_once
from training.data.minibatches import Draw, generator, to_targets, to_tensor

_BATCH = 250


def calibrated_scale(
    vae: VAE, images: ImageRows, *, seed: int, device: torch.device, most: int = 0
) -> Scale | None:
    """The scale to compute likelihoods of these weights with; None for a Bernoulli.

    An optimal one is the root mean squared error over images [n, h, w, c], uint8 and training
    images, each decoded in float32 from one z ~ q(z|x), as in training. It is at least
    `SCALE_FLOOR`, and the same each time: the noise depends on the seed alone. `most` images,
    evenly chosen, are looked at; 0 takes all.
    """
    if not vae.is_calibrated_by_data:
        return vae.scale_value()
    rows = spread_rows(len(images), most)
    at_once = rows_at_once(images, _BATCH)
    total = sum(
        _squared_error(vae, images[rows[start : start + at_once]], seed, number, device)
        for number, start in enumerate(range(0, len(rows), at_once))
    )
    return max(SCALE_FLOOR, math.sqrt(total / (len(rows) * vae.config.dimensions)))


def scale_figures(scale: Scale | None) -> dict[str, float | None]:
    """A scale as figures of an epoch: `scale`, or one for each of three channels."""
    if not isinstance(scale, tuple):
        return {"scale": scale}
    names = ("scale",) if len(scale) == 1 else ("scale_red", "scale_green", "scale_blue")
    return dict(zip(names, scale, strict=True))


def to_likelihood(model: ModelConfig, scale: Scale | None) -> LikelihoodSpec:
    """The likelihood as the manifest states it, with the scale that was exported."""
    likelihood = model.likelihood
    if isinstance(likelihood, BernoulliConfig):
        return LikelihoodSpec(
            family="bernoulli", dimensions=model.dimensions, binarise=likelihood.binarise
        )
    levels = LEVELS if isinstance(likelihood, LogisticConfig) else None
    return LikelihoodSpec(
        family=likelihood.family, dimensions=model.dimensions, scale=scale, levels=levels
    )


@torch.no_grad()
def _squared_error(vae: VAE, images: Images, seed: int, number: int, device: torch.device) -> float:
    targets = to_targets(
        to_tensor(images).to(device), "none", seed, Draw.CALIBRATION_LATENT, number
    )
    rng = generator(device, seed, Draw.CALIBRATION_LATENT, number)
    shape = (len(targets), 1, *vae.config.latent_shape)
    params = vae(targets, torch.randn(shape, generator=rng, device=device)).params
    return float((targets - params).square().double().sum())
