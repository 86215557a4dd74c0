"""Measures the averaged weights: the scale of their likelihood, and their validation bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.bundle.manifest import LikelihoodSpec, Scale
from model.config import SCALE_FLOOR, Binarisation, ModelConfig
from model.likelihood.families import FAMILIES
from model.networks import elbo
from model.networks.vae import VAE
from model.pixels import Images
from training.data.dataset import spread_rows
from training.data.memmap import ImageRows, in_batches
from training.data.minibatches import Draw, generator, to_targets, to_tensor

_CALIBRATION_BATCH = 250
_VALIDATION_BATCH = 500


def calibrated_scale(
    vae: VAE, images: ImageRows, *, seed: int, device: torch.device, most: int = 0
) -> Scale | None:
    """The scale with which to compute likelihoods of these weights; None for a Bernoulli.

    An optimal scale is the root mean squared error over training images [n, h, w, c], uint8. Each
    is decoded in float32 from one z ~ q(z|x), as in training. The noise depends on the seed alone,
    so the result does not change between calls. The scale is at least `SCALE_FLOOR`.

    Args:
        most: how many images to measure, evenly spaced; 0 means all.
    """
    if not vae.is_calibrated_by_data:
        return vae.scale_value()
    rows = spread_rows(len(images), most)
    total = sum(
        _squared_error(vae, batch, seed, number, device)
        for number, batch in enumerate(in_batches(images, _CALIBRATION_BATCH, rows))
    )
    return max(SCALE_FLOOR, math.sqrt(total / (len(rows) * vae.config.dimensions)))


def scale_metrics(scale: Scale | None) -> dict[str, float | None]:
    """A scale as metrics of an epoch: `scale`, or one metric for each of three channels."""
    if not isinstance(scale, tuple):
        return {"scale": scale}
    names = ("scale",) if len(scale) == 1 else ("scale_red", "scale_green", "scale_blue")
    return dict(zip(names, scale, strict=True))


def to_likelihood(model: ModelConfig, scale: Scale | None) -> LikelihoodSpec:
    """The likelihood as the manifest states it, with the scale that was exported."""
    options = model.likelihood
    family = FAMILIES[options.family]
    return LikelihoodSpec(
        family=options.family,
        dimensions=model.dimensions,
        scale=scale,
        levels=family.levels,
        binarise=options.binarisation,
    )


@torch.no_grad()
def validation_elbo(
    vae: VAE,
    images: ImageRows,
    *,
    binarise: Binarisation,
    seed: int,
    device: torch.device,
    scale: Scale | None = None,
) -> float:
    """Mean ELBO (β = 1) in nats over uint8 images [n, h, w, c], in float32.

    Binarisation and latent noise depend on the seed alone, so two epochs differ only by their
    weights.

    Args:
        scale: of the likelihood, where the weights don't determine it (`calibrated_scale`).
    """
    given = None if scale is None else torch.tensor(scale, device=device)
    total = 0.0
    for number, batch in enumerate(in_batches(images, _VALIDATION_BATCH)):
        grey = to_tensor(batch).to(device)
        targets = to_targets(grey, binarise, seed, Draw.VALIDATION_PIXELS, number)
        rng = generator(device, seed, Draw.VALIDATION_LATENT, number)
        passed = vae(targets, _noise(vae, len(targets), rng))
        log_likelihood = vae.log_likelihood(targets, passed.params, given)
        bound = elbo.elbo(log_likelihood, vae.divergence(passed))
        total += float(bound.double().sum())
    return total / len(images)


@torch.no_grad()
def _squared_error(vae: VAE, images: Images, seed: int, number: int, device: torch.device) -> float:
    draw = Draw.CALIBRATION_LATENT
    targets = to_targets(to_tensor(images).to(device), "none", seed, draw, number)
    params = vae(targets, _noise(vae, len(targets), generator(device, seed, draw, number))).params
    return float((targets - params).square().double().sum())


def _noise(vae: VAE, rows: int, rng: torch.Generator) -> Tensor:
    """One draw for each image, [rows, 1, *latent_shape]."""
    shape = (rows, 1, *vae.config.latent_shape)
    return torch.randn(shape, generator=rng, device=rng.device)
