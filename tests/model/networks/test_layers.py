"""What the networks are built from."""

from __future__ import annotations

import torch
from torch import nn

from model.networks.layers import ResidualBlock, dense


def test_residual_blocks_begin_as_the_identity() -> None:
    """An untrained block hands its input on, so depth costs nothing at the start."""
    features = torch.randn(2, 5, 4, 4)

    torch.testing.assert_close(ResidualBlock(5)(features), features)


def test_dense_layers_lie_between_the_sizes() -> None:
    """There is one linear layer between two neighbours, each followed by a SiLU."""
    layers = dense((3, 4, 5))

    assert nn.Sequential(*layers)(torch.zeros(2, 3)).shape == (2, 5)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.SiLU, nn.Linear, nn.SiLU]
