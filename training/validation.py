"""The bound on the validation split: β = 1, averaged weights, the same noise every time."""

from __future__ import annotations

from typing import Literal

import torch

from model import elbo
from model.vae import VAE
from training.mapped import ImageRows
from training.minibatch import Draw, generator, to_targets, to_tensor

_BATCH = 500


@torch.no_grad()
def validation_elbo(
    vae: VAE,
    images: ImageRows,
    *,
    binarise: Literal["sample", "threshold", "none"],
    seed: int,
    device: torch.device,
) -> float:
    """Mean ELBO in nats over uint8 images [n, h, w, c], in float32.

    Binarisation and latent noise depend on the seed alone, so that two epochs differ by their
    weights and by nothing else.
    """
    total = 0.0
    for number, start in enumerate(range(0, len(images), _BATCH)):
        grey = to_tensor(images[start : start + _BATCH]).to(device)
        targets = to_targets(grey, binarise, seed, Draw.VALIDATION_PIXELS, number)
        rng = generator(device, seed, Draw.VALIDATION_LATENT, number)
        shape = (len(targets), 1, *vae.config.latent_shape)
        passed = vae(targets, torch.randn(shape, generator=rng, device=device))
        log_likelihood = vae.log_likelihood(targets, passed.params)
        bound = elbo.elbo(log_likelihood, elbo.kl(passed.mean, passed.logvar))
        total += float(bound.double().sum())
    return total / len(images)
