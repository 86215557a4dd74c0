"""The loss of one minibatch, from the outputs of the networks."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from model.networks import elbo
from model.networks.vae import VAE, Pass
from training.config.sections import ObjectiveConfig


class Terms(NamedTuple):
    """A minibatch of n images, in nats."""

    loss: Tensor
    """The scalar to minimise."""
    log_likelihood: Tensor
    """log p(x|z) [n], averaged over the draws of each image."""
    divergences: Tensor
    """KL[q(z|x) ‖ p(z)] in parts, as `VAE.divergences` returns them, without gradients and without
    the loss's weights."""


def evaluate(config: ObjectiveConfig, vae: VAE, images: Tensor, passed: Pass, beta: float) -> Terms:
    """The loss of images [n, c, h, w], given their `passed` with K draws of each.

    With K > 1 the loss is importance-weighted once β is 1. Until then the draws are averaged,
    because importance weights give a bound on log p(x) only with β = 1.
    """
    samples = len(passed.latents) // len(images)
    targets = images if samples == 1 else images.repeat_interleave(samples, 0)
    log_likelihood = vae.log_likelihood(targets, passed.params)
    divergences = vae.divergences(passed)
    mean_log_likelihood = log_likelihood.reshape(-1, samples).mean(1)
    if samples > 1 and beta == 1:
        weights = (log_likelihood + _path_log_ratio(vae, passed, samples)).reshape(-1, samples)
        bound = elbo.doubly_reparameterized(passed.latents, weights)
    elif config.gradient == "path":
        ratio = _path_log_ratio(vae, passed, samples).reshape(-1, samples).mean(1)
        bound = elbo.elbo(mean_log_likelihood, -ratio, beta)
    else:
        bound = elbo.elbo(mean_log_likelihood, _cost(config, divergences), beta)
    return Terms(-bound.mean(), mean_log_likelihood, divergences.detach())


def _path_log_ratio(vae: VAE, passed: Pass, samples: int) -> Tensor:
    """log p(z) − log q(z|x) [n · K] of the draws, with gradients through z alone."""
    mean, logvar = (tensor.repeat_interleave(samples, 0) for tensor in (passed.mean, passed.logvar))
    log_posterior = elbo.path_log_posterior(passed.latents, mean, logvar)
    return vae.log_prior(passed.latents) - log_posterior


def _cost(config: ObjectiveConfig, divergences: Tensor) -> Tensor:
    if config.free_bits:
        return elbo.free_bits(divergences, config.free_bits)
    return divergences.flatten(1).sum(1)
