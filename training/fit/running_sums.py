"""Running sums over an epoch, from which the epoch's metrics are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active if its posterior mean varies more than this over the images
(Burda et al. 2016, section 5.2)."""


@dataclass(frozen=True)
class EpochMetrics:
    """Means over the images of an epoch, in nats."""

    elbo: float
    log_likelihood: float
    kl: float
    """Of the whole latent."""
    kl_per_dimension: tuple[float, ...]
    """Of each latent value, in the order of a flattened map; empty for a mixture prior, whose KL
    is not a sum over dimensions."""
    active_units: int
    dimensions: int
    """Number of values of a latent."""


class RunningSums:
    """Sums over images. Checkpoints contain them, so that a resumed epoch is counted in full."""

    def __init__(
        self, latent_dimensions: int, device: torch.device, *, divided: bool = True
    ) -> None:
        """`divided`: whether the KL arrives per latent value, rather than as one number."""
        self._dimensions, self._divided = latent_dimensions, divided
        # Images, log-likelihood, parts of the KL; means and their squares.
        size = 2 + (latent_dimensions if divided else 1) + 2 * latent_dimensions
        self._sums = torch.zeros(size, dtype=torch.float64, device=device)

    def add(self, log_likelihood: Tensor, divergences: Tensor, mean: Tensor) -> None:
        """Adds a minibatch.

        Args:
            log_likelihood: [n], in nats.
            divergences: [n, …], the parts of the KL as `VAE.divergences` returns them.
            mean: [n, *latent_shape], the posterior means.
        """
        with torch.no_grad():
            wide = mean.double().flatten(1)
            parts = (
                torch.tensor([len(mean)], device=mean.device),
                log_likelihood.double().sum()[None],
                divergences.double().sum(0).flatten(),
                wide.sum(0),
                wide.square().sum(0),
            )
            self._sums += torch.cat(parts)

    def metrics(self) -> EpochMetrics:
        """The means so far; requires at least one image."""
        sums = self._sums.cpu()
        means = sums[1:] / sums[0]
        divergences, moments = means[1:].tensor_split([-2 * self._dimensions])
        first, second = moments.chunk(2)
        variance = second - first.square()
        parts = divergences.tolist()
        return EpochMetrics(
            elbo=float(means[0] - divergences.sum()),
            log_likelihood=float(means[0]),
            kl=sum(parts),
            kl_per_dimension=tuple(parts) if self._divided else (),
            active_units=int((variance > ACTIVE_VARIANCE).sum()),
            dimensions=self._dimensions,
        )

    def reset(self) -> None:
        """Begins the next epoch."""
        self._sums.zero_()

    def state(self) -> Tensor:
        """The sums, to save in a checkpoint."""
        return self._sums.cpu()

    def load(self, state: Tensor) -> None:
        """Restores what `state` returned."""
        self._sums.copy_(state)
