"""The variational autoencoder: an encoder, a decoder and the likelihood between them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model import elbo
from model.config import SCALE_FLOOR, GaussianConfig, MixturePriorConfig, ModelConfig
from model.mixture import Mixture
from model.networks import Decoder, Encoder
from model.prior import MixturePrior

INITIAL_SCALE = 0.25
"""Where a learned scale starts: about the spread of natural pixels, which a network that knows
nothing but their mean would leave."""


class Pass(NamedTuple):
    """What one pass through encoder, latent and decoder yields."""

    mean: Tensor
    logvar: Tensor
    latents: Tensor
    """[n · K, *latent_shape]: the K draws of each picture stand together."""
    params: Tensor
    """[n · K, c, h, w]."""


class VAE(nn.Module):
    """p(x|z) p(z) with the approximate posterior q(z|x) (Kingma & Welling 2014)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        learned = isinstance(config.likelihood, GaussianConfig) and (
            config.likelihood.scale == "learned"
        )
        self.log_scale = (
            nn.Parameter(torch.tensor(math.log(INITIAL_SCALE - SCALE_FLOOR))) if learned else None
        )
        self.prior = (
            MixturePrior(config.prior.components, math.prod(config.latent_shape))
            if isinstance(config.prior, MixturePriorConfig)
            else None
        )

    def forward(self, image: Tensor, noise: Tensor) -> Pass:
        """image [n, c, h, w], noise [n, K, *latent_shape] → posterior, draws and their params."""
        mean, logvar = self.encoder(image)
        latents = elbo.reparameterize(mean[:, None], logvar[:, None], noise).flatten(0, 1)
        _, params = self.decoder(latents)
        return Pass(mean, logvar, latents, params)

    def scale(self) -> Tensor | None:
        """Standard deviation of a Gaussian likelihood, a scalar; None for a Bernoulli."""
        likelihood = self.config.likelihood
        if not isinstance(likelihood, GaussianConfig):
            return None
        if self.log_scale is not None:
            # A sum rather than a maximum: below a hard floor the gradient would be zero.
            return SCALE_FLOOR + self.log_scale.exp()
        return torch.tensor(likelihood.scale)

    def scale_value(self) -> float | None:
        """`scale` as a number."""
        scale = self.scale()
        return None if scale is None else float(scale.detach())

    def log_prior(self, latents: Tensor) -> Tensor:
        """log p(z) [n] of latents [n, *latent_shape], in nats."""
        if self.prior is None:
            return elbo.standard_normal_log_density(latents)
        log_density: Tensor = self.prior(latents)
        return log_density

    def sample_prior(self, n: int, generator: torch.Generator) -> Tensor:
        """z ~ p(z), float32 [n, *latent_shape], on the generator's device."""
        shape = (n, *self.config.latent_shape)
        noise = torch.randn(shape, generator=generator, device=generator.device)
        return noise if self.prior is None else self.prior.place(noise, generator)

    def divergence(self, passed: Pass) -> Tensor:
        """KL[q(z|x) ‖ p(z)] [n]: in closed form for N(0, I), else estimated from the draws."""
        if self.prior is None:
            return elbo.kl(passed.mean, passed.logvar)
        log_prior = self.log_prior(passed.latents).reshape(len(passed.mean), -1).mean(1)
        return elbo.kl_estimate(log_prior, passed.logvar)

    def mixture(self) -> Mixture | None:
        """The prior as it is served; None for N(0, I)."""
        return None if self.prior is None else self.prior.export()

    def log_likelihood(self, targets: Tensor, params: Tensor) -> Tensor:
        """log p(x|z) [n], in nats, of targets [n, c, h, w] in [0, 1] (binary for a Bernoulli)."""
        scale = self.scale()
        if scale is None:
            return elbo.bernoulli_log_likelihood(targets, params)
        return elbo.gaussian_log_likelihood(targets, params, scale)
