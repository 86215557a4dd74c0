"""Encoder and decoder networks in torch. No random node and no batch normalisation in either.

`conv` is a small residual network: strided convolutions down, PixelShuffle (Shi et al. 2016) up,
residual blocks between. No layer of its decoder runs at full resolution: its head predicts 2×2
pixels at once. `resnet` (`model.networks.networks.resnet`) is the one that scales.
"""

from __future__ import annotations

from torch import Tensor, nn

from model.config import (
    LOGVAR_LIMIT,
    ConvConfig,
    CustomConfig,
    MlpConfig,
    ModelConfig,
)
from model.likelihood.families import FAMILIES
from model.networks.custom import custom_network
from model.networks.layers import ResidualBlock, dense, vector_decoder, vector_encoder
from model.networks.resnet import resnet_decoder, resnet_encoder


class Encoder(nn.Module):
    """q(z|x): image [n, c, h, w] in [0, 1] → mean, logvar, float32 [n, *latent_shape] each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.body = _encoder_body(config)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        # float(): under mixed precision the exponentials that follow need all their digits.
        posterior = self.body(image)
        if isinstance(posterior, Tensor):
            posterior = posterior.chunk(2, dim=1)
        mean, logvar = (one.float() for one in posterior)
        return mean, logvar.clamp(-LOGVAR_LIMIT, LOGVAR_LIMIT)


class Decoder(nn.Module):
    """p(x|z): latent [n, *latent_shape] → pixels in [0, 1] and params, float32 [n, c, h, w] each.

    `params` is what a likelihood is computed from, and `pixels` what one looks at: logits and
    their sigmoid for a Bernoulli, the mean and the mean clamped to [0, 1] otherwise.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.binary = FAMILIES[config.likelihood.family].is_binary
        self.body = _decoder_body(config)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        params = self.body(latent).float()
        return (params.sigmoid() if self.binary else params.clamp(0, 1)), params


def _encoder_body(config: ModelConfig) -> nn.Module:
    """image → mean and logvar, concatenated on the first axis after the batch, or a pair for a
    custom network."""
    network = config.network
    if isinstance(network, CustomConfig):
        return custom_network(network.encoder, network, config)
    if isinstance(network, MlpConfig):
        return _mlp_encoder(network, config)
    if isinstance(network, ConvConfig):
        return _conv_encoder(network, config)
    return resnet_encoder(network, config)


def _decoder_body(config: ModelConfig) -> nn.Module:
    """latent → params."""
    network = config.network
    if isinstance(network, CustomConfig):
        return custom_network(network.decoder, network, config)
    if isinstance(network, MlpConfig):
        return _mlp_decoder(network, config)
    if isinstance(network, ConvConfig):
        return _conv_decoder(network, config)
    return resnet_decoder(network, config)


def _mlp_encoder(network: MlpConfig, config: ModelConfig) -> nn.Sequential:
    sizes = (config.dimensions, *network.hidden)
    return nn.Sequential(nn.Flatten(), *dense(sizes), nn.Linear(sizes[-1], 2 * config.latent_dim))


def _mlp_decoder(network: MlpConfig, config: ModelConfig) -> nn.Sequential:
    sizes = (config.latent_dim, *reversed(network.hidden))
    return nn.Sequential(
        *dense(sizes),
        nn.Linear(sizes[-1], config.dimensions),
        nn.Unflatten(1, config.image_shape),
    )


def _conv_encoder(network: ConvConfig, config: ModelConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels: int = config.channels
    for width in network.widths:
        layers.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
        layers.extend(ResidualBlock(width) for _ in range(network.blocks))
        channels = width
    return nn.Sequential(*layers, nn.SiLU(), *vector_encoder(channels, network, config))


def _conv_decoder(network: ConvConfig, config: ModelConfig) -> nn.Sequential:
    layers = vector_decoder(network.widths[-1], network, config)
    widths = tuple(reversed(network.widths))
    for width, next_width in zip(widths, (*widths[1:], config.channels), strict=True):
        layers.extend(ResidualBlock(width) for _ in range(network.blocks))
        layers += [
            nn.SiLU(),
            nn.Conv2d(width, 4 * next_width, 3, padding=1),
            nn.PixelShuffle(2),
        ]
    return nn.Sequential(*layers)


def parameter_count(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters())
