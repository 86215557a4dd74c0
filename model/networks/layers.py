"""Layers that the networks are built from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from model.config import ConvConfig, ModelConfig, ResnetConfig


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), the second convolution starting at zero.

    Pre-activation (He et al. 2016, "Identity mappings in deep residual networks"). As a block
    begins as the identity, deep stacks train without normalisation (Zhang et al. 2019, "Fixup";
    Child 2021 trains VAEs of some 70 layers without any).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        first = nn.Conv2d(channels, channels, 3, padding=1)
        self.residual = nn.Sequential(nn.SiLU(), first, nn.SiLU(), last)

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.residual(features)
        return features + residual


def dense(sizes: Sequence[int]) -> list[nn.Module]:
    """Fully connected layers between these sizes, each followed by a SiLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return layers


def vector_encoder(
    channels: int, network: ConvConfig | ResnetConfig, config: ModelConfig
) -> list[nn.Module]:
    """Layers from features of the smallest resolution to mean and logvar, [n, 2 d]."""
    flat = math.prod(_smallest(channels, network, config))
    return [
        nn.Flatten(),
        *dense((flat, network.hidden)),
        nn.Linear(network.hidden, 2 * config.latent_dim),
    ]


def vector_decoder(
    channels: int, network: ConvConfig | ResnetConfig, config: ModelConfig
) -> list[nn.Module]:
    """Layers from latents [n, d] to features of the smallest resolution."""
    smallest = _smallest(channels, network, config)
    return [
        *dense((config.latent_dim, network.hidden)),
        nn.Linear(network.hidden, math.prod(smallest)),
        nn.Unflatten(1, smallest),
    ]


def _smallest(
    channels: int, network: ConvConfig | ResnetConfig, config: ModelConfig
) -> tuple[int, int, int]:
    """(channels, height, width) of the smallest resolution."""
    return (channels, config.height // network.factor, config.width // network.factor)
