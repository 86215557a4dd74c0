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
    kl_per_dimension: tuple[float, ...]
    """Of each latent value; those of a map in its order."""
    active_units: int

    @property
    def kl(self) -> float:
        """Of the whole latent."""
        return sum(self.kl_per_dimension)


class Totals:
    """Sums over pictures; they travel with the checkpoint, so that a resumed epoch adds up."""

    def __init__(self, latent_dimensions: int, device: torch.device) -> None:
        self._sums = torch.zeros(2 + 3 * latent_dimensions, dtype=torch.float64, device=device)

    def add(self, log_likelihood: Tensor, mean: Tensor, logvar: Tensor) -> None:
        """log_likelihood [n]; mean and logvar [n, *latent_shape]."""
        with torch.no_grad():
            wide = mean.double().flatten(1)
            parts = (
                torch.tensor([len(mean)], device=mean.device),
                log_likelihood.double().sum()[None],
                elbo.kl_per_dimension(mean, logvar).double().sum(0).flatten(),
                wide.sum(0),
                wide.square().sum(0),
            )
            self._sums += torch.cat(parts)

    def figures(self) -> Figures:
        """The means so far; at least one picture must have been added."""
        sums = self._sums.cpu()
        means = sums[1:] / sums[0]
        kl, first, second = means[1:].chunk(3)
        variance = second - first.square()
        return Figures(
            elbo=float(means[0] - kl.sum()),
            log_likelihood=float(means[0]),
            kl_per_dimension=tuple(kl.tolist()),
            active_units=int((variance > ACTIVE_VARIANCE).sum()),
        )

    def reset(self) -> None:
        """Begins the next epoch."""
        self._sums.zero_()

    def state(self) -> Tensor:
        return self._sums.cpu()

    def load(self, state: Tensor) -> None:
        self._sums.copy_(state)
