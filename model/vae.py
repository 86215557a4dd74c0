"""The variational autoencoder: an encoder, a decoder and the likelihood between them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model import elbo
from model.config import SCALE_FLOOR, GaussianConfig, ModelConfig
from model.networks import Decoder, Encoder

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

    def start_scale(self, scale: float) -> None:
        """Lets a learned scale begin there; any other is left as it is."""
        if self.log_scale is not None:
            above = torch.as_tensor(scale, dtype=torch.float32) - SCALE_FLOOR
            with torch.no_grad():
                self.log_scale.copy_(above.clamp(min=1e-6).log())

    def scale_value(self) -> float | None:
        """`scale` as a number."""
        scale = self.scale()
        return None if scale is None else float(scale.detach())

    def log_likelihood(self, targets: Tensor, params: Tensor) -> Tensor:
        """log p(x|z) [n], in nats, of targets [n, c, h, w] in [0, 1] (binary for a Bernoulli)."""
        scale = self.scale()
        if scale is None:
            return elbo.bernoulli_log_likelihood(targets, params)
        return elbo.gaussian_log_likelihood(targets, params, scale)
