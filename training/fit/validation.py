"""The bound on the validation split: β = 1, averaged weights, the same noise every time."""

from __future__ import annotations

import torch

from model import elbo
from model.bundle.manifest import Scale
from model.config import Binarisation
from model.networks.vae import VAE
from training.data.memmap import ImageRows, rows_at_once
from training.data.minibatches import Draw, generator, to_targets, to_tensor

_BATCH = 500


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
    """Mean ELBO in nats over uint8 images [n, h, w, c], in float32.

    `scale` is the likelihood's where the weights don't decide it (`calibration`).

    Binarisation and latent noise depend on the seed alone, so that two epochs differ by their
    weights and by nothing else.
    """
    given = None if scale is None else torch.tensor(scale, device=device)
    total = 0.0
    at_once = rows_at_once(images, _BATCH)
    for number, start in enumerate(range(0, len(images), at_once)):
        grey = to_tensor(images[start : start + at_once]).to(device)
        targets = to_targets(grey, binarise, seed, Draw.VALIDATION_PIXELS, number)
        rng = generator(device, seed, Draw.VALIDATION_LATENT, number)
        shape = (len(targets), 1, *vae.config.latent_shape)
        passed = vae(targets, torch.randn(shape, generator=rng, device=device))
        log_likelihood = vae.log_likelihood(targets, passed.params, given)
        bound = elbo.elbo(log_likelihood, vae.divergence(passed))
        total += float(bound.double().sum())
    return total / len(images)
