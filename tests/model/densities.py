"""What tests of densities share: seeded draws, and torch's own densities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from model.likelihood.bounds import Nats
from model.likelihood.families import FAMILIES, NUMPY
from model.networks import elbo
from model.pixels import Floats


def draw(seed: int, *shape: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def log_density(distribution: Distribution, value: Tensor) -> Tensor:
    density: Tensor = distribution.log_prob(value)
    return density


def bernoulli(targets: Tensor, logits: Tensor) -> Tensor:
    return elbo.log_likelihood("bernoulli", None, targets, logits)


def gaussian(targets: Tensor, mean: Tensor, scale: Tensor | float) -> Tensor:
    return elbo.log_likelihood("gaussian", torch.as_tensor(scale), targets, mean)


def logistic(targets: Tensor, mean: Tensor, scale: Tensor, levels: int | None = None) -> Tensor:
    return elbo.log_likelihood("logistic", scale, targets, mean, levels)


def bernoulli_in_numpy(targets: Floats, logits: Floats) -> Nats:
    return _in_numpy("bernoulli", targets, logits, None)


def gaussian_in_numpy(targets: Floats, mean: Floats, scale: float) -> Nats:
    return _in_numpy("gaussian", targets, mean, scale)


def logistic_in_numpy(
    targets: Floats, mean: Floats, scale: tuple[float, ...], levels: int = 256
) -> Nats:
    return _in_numpy("logistic", targets, mean, scale, levels)


def _in_numpy(
    family: str,
    targets: Floats,
    params: Floats,
    scale: float | tuple[float, ...] | None,
    levels: int | None = None,
) -> Nats:
    found: Nats = FAMILIES[family].log_probability(NUMPY, targets, params, scale, levels)
    return found
