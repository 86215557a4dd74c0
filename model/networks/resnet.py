"""The residual network that scales with width and depth, for images of 28 to 256 pixels.

Nothing in it normalises. Group normalisation would be allowed, as it looks at one row alone, but
each one is another pass over the features, which costs a processor about what a small convolution
does; blocks that begin as the identity train without (`ResidualBlock`).
"""

from __future__ import annotations

from torch import nn

from model.config import ModelConfig, ResnetConfig
from model.networks.layers import ResidualBlock, vector_decoder, vector_encoder


def resnet_encoder(network: ResnetConfig, config: ModelConfig) -> nn.Sequential:
    """image [n, c, h, w] → mean and logvar, concatenated to [n, 2 d] or [n, 2 c, h, w]."""
    layers: list[nn.Module] = []
    channels: int = config.channels
    step: int = network.patch
    for width, blocks in network.encoder_stages:
        layers.append(_down(channels, width, step))
        layers.extend(ResidualBlock(width) for _ in range(blocks))
        channels, step = width, 2
    layers.append(nn.SiLU())
    if config.latent_map:
        layers.append(nn.Conv2d(channels, 2 * config.latent_map[0], 3, padding=1))
        return nn.Sequential(*layers)
    return nn.Sequential(*layers, *vector_encoder(channels, network, config))


def resnet_decoder(network: ResnetConfig, config: ModelConfig) -> nn.Sequential:
    """latent [n, *latent_shape] → params [n, c, h, w]."""
    stages = network.decoder_stages[::-1]
    layers: list[nn.Module] = []
    channels: int = stages[0][0]
    if config.latent_map:
        layers.append(nn.Conv2d(config.latent_map[0], channels, 3, padding=1))
    else:
        layers += vector_decoder(channels, network, config)
    for number, (width, blocks) in enumerate(stages):
        if number:
            layers += [nn.SiLU(), *_up(channels, width, 2)]
        layers.extend(ResidualBlock(width) for _ in range(blocks))
        channels = width
    layers += [nn.SiLU(), *_up(channels, config.channels, network.patch)]
    return nn.Sequential(*layers)


def _down(channels: int, width: int, step: int) -> nn.Conv2d:
    """A convolution that makes one cell of `step` × `step`, with windows that overlap."""
    if step == 1:
        return nn.Conv2d(channels, width, 3, padding=1)
    return nn.Conv2d(channels, width, 2 * step, stride=step, padding=step // 2)


def _up(channels: int, width: int, step: int) -> list[nn.Module]:
    """A convolution that makes `step` × `step` cells of one (Shi et al. 2016)."""
    convolution = nn.Conv2d(channels, width * step * step, 3, padding=1)
    return [convolution] if step == 1 else [convolution, nn.PixelShuffle(step)]
