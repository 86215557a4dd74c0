"""A learned prior over latents: a mixture of diagonal Gaussians, in torch.

    p(z) = Σ w_k N(z; mean_k, diag(exp(logvar_k)))

Trained along with the networks, as by Tomczak & Welling 2018, "VAE with a VampPrior", who compare
such a mixture with theirs: it can fit the posteriors' average, which N(0, I) makes the encoder
fit. `model.prior.mixture` holds the same density in NumPy, for serving.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from model.prior.mixture import Mixture

_LOG_2PI = math.log(2 * math.pi)


def mixture_log_density(
    latents: Tensor, log_weights: Tensor, means: Tensor, logvars: Tensor
) -> Tensor:
    """log Σ w_k N(z; mean_k, diag(exp(logvar_k))) [n] of latents [n, …], in nats.

    log_weights [K]; means and logvars [K, d], d being the values of a latent. Computed in float64,
    where multiplying out (z − mean)², which makes it two matrix products, cancels nothing that
    matters; answered in the latents' type.
    """
    rows, means, logvars = (one.double() for one in (latents.flatten(1), means, logvars))
    precisions = (-logvars).exp()
    squares = (
        rows.square() @ precisions.T
        - 2 * rows @ (means * precisions).T
        + (means.square() * precisions).sum(1)
    )
    constants = log_weights.double() - 0.5 * (logvars + _LOG_2PI).sum(1)
    return (constants - 0.5 * squares).logsumexp(1).to(latents.dtype)


def mixture_parameters(mixture: Mixture) -> dict[str, Tensor]:
    """The parameters of `MixturePrior` by name that export to this mixture, but for rounding."""
    return {
        "logits": torch.from_numpy(np.log(mixture.weights)).float(),
        "means": torch.from_numpy(mixture.means.copy()),
        "logvars": torch.from_numpy(2 * np.log(mixture.scales.astype(np.float64))).float(),
    }


class MixturePrior(nn.Module):
    """The mixture's parameters.

    Args:
        components: K.
        size: d, the values of a latent.
    """

    def __init__(self, components: int, size: int) -> None:
        super().__init__()
        # Near N(0, I), the prior that the encoder's first posteriors are made for: the means lie
        # about one standard deviation from 0 whatever d is, far enough apart for components to
        # part ways, and with these variances the mixture's covariance is I in expectation.
        spread = 1 / (size + 1)
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(math.sqrt(spread) * torch.randn(components, size))
        self.logvars = nn.Parameter(torch.full((components, size), math.log1p(-spread)))

    def forward(self, latents: Tensor) -> Tensor:
        """log p(z) [n] of latents [n, …], in nats."""
        return mixture_log_density(latents, self.logits.log_softmax(0), self.means, self.logvars)

    def place(self, noise: Tensor, generator: torch.Generator) -> Tensor:
        """N(0, 1) noise [n, …] → z ~ p(z), of its shape, in components that `generator` draws."""
        weights = self.logits.softmax(0)
        chosen = weights.multinomial(len(noise), replacement=True, generator=generator)
        means, logvars = self.means[chosen], self.logvars[chosen]
        return means.view_as(noise) + (0.5 * logvars).exp().view_as(noise) * noise

    @torch.no_grad()
    def export(self) -> Mixture:
        """The mixture as it is served."""
        return Mixture(
            weights=self.logits.double().softmax(0).cpu().numpy(),
            means=self.means.float().cpu().numpy().copy(),
            scales=(0.5 * self.logvars.double()).exp().cpu().numpy().astype(np.float32),
        )
