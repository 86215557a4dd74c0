"""What tests of densities share: seeded draws, and torch's own densities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution


def draw(seed: int, *shape: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def log_density(distribution: Distribution, value: Tensor) -> Tensor:
    density: Tensor = distribution.log_prob(value)
    return density
