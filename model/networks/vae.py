"""The variational autoencoder: an encoder, a decoder and the likelihood between them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.bundle.manifest import Scale
from model.config import SCALE_FLOOR, MixturePriorConfig, ModelConfig
from model.likelihood.families import FAMILIES
from model.networks import elbo
from model.networks.networks import Decoder, Encoder
from model.prior.learned import MixturePrior
from model.prior.mixture import Mixture


class Pass(NamedTuple):
    """The results of one pass through encoder, latent and decoder."""

    mean: Tensor
    logvar: Tensor
    latents: Tensor
    """[n · K, *latent_shape]: the K draws of each image stand together."""
    params: Tensor
    """[n · K, c, h, w]."""


class VAE(nn.Module):
    """p(x|z) p(z) with the approximate posterior q(z|x) (Kingma & Welling 2014)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.log_scale = _log_scale(config)
        # After the networks, which then begin from a seed as they do without.
        self.prior = (
            MixturePrior(config.prior.components, config.latent_dimensions)
            if isinstance(config.prior, MixturePriorConfig)
            else None
        )

    def forward(self, image: Tensor, noise: Tensor) -> Pass:
        """image [n, c, h, w], noise [n, K, *latent_shape] → posterior, draws and their params."""
        mean, logvar = self.encoder(image)
        latents = elbo.reparameterize(mean[:, None], logvar[:, None], noise).flatten(0, 1)
        _, params = self.decoder(latents)
        return Pass(mean, logvar, latents, params)

    @property
    def is_calibrated_by_data(self) -> bool:
        """Whether the likelihood is a Gaussian of an optimal scale."""
        return self.config.likelihood.is_optimal

    def scale(self) -> Tensor | None:
        """Standard deviation of a Gaussian likelihood, a scalar, or scales [c] of a logistic; None
        for a Bernoulli and for an optimal scale."""
        if self.log_scale is not None:
            # A sum rather than a maximum: below a hard floor the gradient would be zero.
            return FAMILIES[self.config.likelihood.family].scale_floor + self.log_scale.exp()
        fixed = self.config.likelihood.chosen_scale
        return torch.tensor(fixed) if isinstance(fixed, float) else None

    def start_scale(self, scale: Scale) -> None:
        """Lets a learned scale begin there; any other is left as it is."""
        if self.log_scale is not None:
            above = (
                torch.as_tensor(scale, dtype=torch.float32)
                - FAMILIES[self.config.likelihood.family].scale_floor
            )
            with torch.no_grad():
                self.log_scale.copy_(above.clamp(min=1e-6).log())

    def scale_value(self) -> Scale | None:
        """`scale` as one number, or by channel."""
        scale = self.scale()
        if scale is None:
            return None
        return tuple(scale.tolist()) if scale.ndim else float(scale.detach())

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

    def divergences(self, passed: Pass) -> Tensor:
        """KL[q(z|x) ‖ p(z)] in parts that sum to it.

        For N(0, I) those of the latent's values, [n, *latent_shape], in closed form. A mixture's
        is no sum over values: [n, 1], estimated from the draws.
        """
        if self.prior is None:
            return elbo.kl_per_dimension(passed.mean, passed.logvar)
        log_prior = self.log_prior(passed.latents).reshape(len(passed.mean), -1).mean(1)
        return elbo.kl_estimate(log_prior, passed.logvar)[:, None]

    def divergence(self, passed: Pass) -> Tensor:
        """KL[q(z|x) ‖ p(z)] [n], the sum of `divergences`."""
        return self.divergences(passed).flatten(1).sum(1)

    def mixture(self) -> Mixture | None:
        """The prior as it is served; None for N(0, I)."""
        return None if self.prior is None else self.prior.export()

    def log_likelihood(
        self, targets: Tensor, params: Tensor, scale: Tensor | None = None
    ) -> Tensor:
        """log p(x|z) [n], in nats, of targets [n, c, h, w] in [0, 1] (binary for a Bernoulli).

        `scale` replaces the model's own. Without it, an optimal scale is computed from all targets
        together, for training: each image's value then depends on the others, so a batch may only
        have images of equal weight.
        """
        own = self.scale() if scale is None else scale
        if own is None and self.is_calibrated_by_data:
            own = elbo.optimal_scale(targets, params, SCALE_FLOOR)
        return elbo.log_likelihood(self.config.likelihood.family, own, targets, params)


def _log_scale(config: ModelConfig) -> nn.Parameter | None:
    """The logarithm of a learned scale's excess over its floor: a scalar, or [c] by channel."""
    family = FAMILIES[config.likelihood.family]
    if config.likelihood.chosen_scale != "learned":
        return None
    start = math.log(family.initial_scale - family.scale_floor)
    if family.scale_by_channel:
        return nn.Parameter(torch.full((config.channels,), start))
    return nn.Parameter(torch.tensor(start))
