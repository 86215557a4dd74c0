"""Running sums over an epoch, from which its figures are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model import elbo

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active if its posterior mean varies more than this over the pictures
(Burda et al. 2016, section 5.2)."""


@dataclass(frozen=True)
class Figures:
    """Means over the pictures of an epoch, in nats."""

    elbo: float
    log_likelihood: float
    kl: float
    active_units: int


class Totals:
    """Sums over pictures; they travel with the checkpoint, so that a resumed epoch adds up."""

    def __init__(self, latent_dimensions: int, device: torch.device) -> None:
        self._sums = torch.zeros(3 + 2 * latent_dimensions, dtype=torch.float64, device=device)

    def add(self, log_likelihood: Tensor, mean: Tensor, logvar: Tensor) -> None:
        """log_likelihood [n]; mean and logvar [n, *latent_shape]."""
        with torch.no_grad():
            wide = mean.double().flatten(1)
            parts = (
                torch.tensor([len(mean)], device=mean.device),
                log_likelihood.double().sum()[None],
                elbo.kl(mean, logvar).double().sum()[None],
                wide.sum(0),
                wide.square().sum(0),
            )
            self._sums += torch.cat(parts)

    def figures(self) -> Figures:
        """The means so far; at least one picture must have been added."""
        count, log_likelihood, kl = self._sums[:3].tolist()
        first, second = (self._sums[3:] / count).chunk(2)
        variance = second - first.square()
        return Figures(
            elbo=(log_likelihood - kl) / count,
            log_likelihood=log_likelihood / count,
            kl=kl / count,
            active_units=int((variance > ACTIVE_VARIANCE).sum()),
        )

    def reset(self) -> None:
        """Begins the next epoch."""
        self._sums.zero_()

    def state(self) -> Tensor:
        return self._sums.cpu()

    def load(self, state: Tensor) -> None:
        self._sums.copy_(state)
