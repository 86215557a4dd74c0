"""Encoder and decoder networks in torch. No random node and no batch normalisation in either.

The convolutional pair is a small residual network: strided convolutions down, PixelShuffle
(Shi et al. 2016) up, pre-activation residual blocks (He et al. 2016, "Identity mappings") whose
last convolution starts at zero, so that a block begins as the identity. No layer of the decoder
runs at full resolution: its head predicts 2×2 pixels at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from model.config import LOGVAR_LIMIT, BernoulliConfig, ConvConfig, MlpConfig, ModelConfig


class Encoder(nn.Module):
    """q(z|x): image [n, c, h, w] in [0, 1] → mean, logvar, float32 [n, latent_dim] each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        outputs = 2 * config.latent_dim
        self.body = (
            _mlp_encoder(config.network, config, outputs)
            if isinstance(config.network, MlpConfig)
            else _conv_encoder(config.network, config, outputs)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        # float(): under mixed precision the exponentials that follow need all their digits.
        mean, logvar = self.body(image).float().chunk(2, dim=1)
        return mean, logvar.clamp(-LOGVAR_LIMIT, LOGVAR_LIMIT)


class Decoder(nn.Module):
    """p(x|z): latent [n, latent_dim] → pixels in [0, 1] and params, float32 [n, c, h, w] each.

    `params` is what a likelihood is computed from, and `pixels` what one looks at: logits and
    their sigmoid for a Bernoulli, the mean and the mean clamped to [0, 1] otherwise.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.binary = isinstance(config.likelihood, BernoulliConfig)
        self.body = (
            _mlp_decoder(config.network, config)
            if isinstance(config.network, MlpConfig)
            else _conv_decoder(config.network, config)
        )

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        params = self.body(latent).float()
        return (params.sigmoid() if self.binary else params.clamp(0, 1)), params


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), the second convolution starting at zero."""

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


def _mlp_encoder(network: MlpConfig, config: ModelConfig, outputs: int) -> nn.Sequential:
    sizes = (config.dimensions, *network.hidden)
    return nn.Sequential(nn.Flatten(), *_dense(sizes), nn.Linear(sizes[-1], outputs))


def _mlp_decoder(network: MlpConfig, config: ModelConfig) -> nn.Sequential:
    sizes = (config.latent_dim, *reversed(network.hidden))
    return nn.Sequential(
        *_dense(sizes),
        nn.Linear(sizes[-1], config.dimensions),
        nn.Unflatten(1, config.image_shape),
    )


def _conv_encoder(network: ConvConfig, config: ModelConfig, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels: int = config.channels
    for width in network.widths:
        layers.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
        layers.extend(ResidualBlock(width) for _ in range(network.blocks))
        channels = width
    flat = math.prod(_smallest(network, config))
    return nn.Sequential(
        *layers,
        nn.SiLU(),
        nn.Flatten(),
        *_dense((flat, network.hidden)),
        nn.Linear(network.hidden, outputs),
    )


def _conv_decoder(network: ConvConfig, config: ModelConfig) -> nn.Sequential:
    smallest = _smallest(network, config)
    layers: list[nn.Module] = [
        *_dense((config.latent_dim, network.hidden)),
        nn.Linear(network.hidden, math.prod(smallest)),
        nn.Unflatten(1, smallest),
    ]
    widths = tuple(reversed(network.widths))
    for width, next_width in zip(widths, (*widths[1:], config.channels), strict=True):
        layers.extend(ResidualBlock(width) for _ in range(network.blocks))
        layers += [
            nn.SiLU(),
            nn.Conv2d(width, 4 * next_width, 3, padding=1),
            nn.PixelShuffle(2),
        ]
    return nn.Sequential(*layers)


def _smallest(network: ConvConfig, config: ModelConfig) -> tuple[int, int, int]:
    """(channels, height, width) after the last halving."""
    factor = 2 ** len(network.widths)
    return (network.widths[-1], config.height // factor, config.width // factor)


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return layers


def parameter_count(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters())
