"""Layers that the networks are built from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn


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
