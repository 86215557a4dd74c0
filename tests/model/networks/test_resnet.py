"""Sizes, depths and latent maps of the network that scales."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.config import ModelConfig
from model.networks.layers import ResidualBlock
from model.networks.networks import Decoder, Encoder

SIZES: tuple[tuple[tuple[int, int], dict[str, Any]], ...] = (
    ((28, 28), {"widths": (2, 3)}),
    ((32, 32), {"widths": (2, 3, 4)}),
    ((64, 48), {"widths": (2, 3, 4), "patch": 4}),
    ((256, 256), {"widths": (2, 3, 3, 4), "patch": 8}),
    ((30, 34), {"widths": (2, 3), "patch": 1}),
)


def model(network: dict[str, Any], **changes: Any) -> ModelConfig:
    whole = {"architecture": "resnet", "blocks": 1, "hidden": 5, **network}
    return ModelConfig.model_validate({"latent_dim": 3, **changes, "network": whole})


@pytest.mark.parametrize(("size", "network"), SIZES)
def test_sizes_from_28_to_256(size: tuple[int, int], network: dict[str, Any]) -> None:
    """Images of every allowed size, square or not, become latents and images again."""
    config = model(network, height=size[0], width=size[1])
    images = torch.rand(2, 1, *size)

    mean, logvar = Encoder(config)(images)
    pixels, params = Decoder(config)(mean)

    assert mean.shape == logvar.shape == (2, 3)
    assert pixels.shape == params.shape == images.shape


@given(
    widths=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    patch=st.sampled_from([1, 2, 4, 8]),
    cells=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.sampled_from([1, 3]),
    latent=st.integers(1, 3),
)
@settings(max_examples=30)
def test_a_latent_map_is_the_smallest_resolution(
    widths: list[int], patch: int, cells: tuple[int, int], channels: int, latent: int
) -> None:
    """With `latent_map` both posterior parameters are maps with a value for each cell."""
    factor = patch * 2 ** (len(widths) - 1)
    height, width = cells[0] * factor, cells[1] * factor
    sizes = {"channels": channels, "height": height, "width": width}
    config = model({"widths": widths, "patch": patch}, latent_map=(latent, *cells), **sizes)

    mean, logvar = Encoder(config)(torch.rand(2, channels, height, width))
    pixels, _ = Decoder(config)(mean)

    assert config.latent_shape == (latent, *cells)
    assert mean.shape == logvar.shape == (2, latent, *cells)
    assert pixels.shape == (2, channels, height, width)


def widths_of(network: nn.Module) -> list[int]:
    """Channels of its residual blocks, in order."""
    blocks = [block for block in network.modules() if isinstance(block, ResidualBlock)]
    return [next(block.parameters()).shape[0] for block in blocks]


def test_blocks_and_widths_of_each_resolution() -> None:
    """Each resolution has its own number of blocks, and the decoder mirrors the encoder."""
    config = model({"widths": (2, 3), "blocks": (1, 2)})

    assert widths_of(Encoder(config)) == [2, 3, 3]
    assert widths_of(Decoder(config)) == [3, 3, 2]


def test_the_decoder_may_be_another() -> None:
    """Widths and blocks of its own leave the encoder as it is, and count from the finest too."""
    config = model({"widths": (2, 3), "decoder_widths": (4, 5), "decoder_blocks": (3, 0)})
    mean, _ = Encoder(config)(torch.rand(1, 1, 28, 28))

    assert widths_of(Encoder(config)) == [2, 3]
    assert widths_of(Decoder(config)) == [4, 4, 4]
    assert Decoder(config)(mean)[0].shape == (1, 1, 28, 28)


def test_depth_costs_nothing_at_the_start() -> None:
    """A stack of 40 blocks begins with the outputs of the same layers without any, and with their
    gradients: no normalisation is needed for either."""
    encoder = Encoder(model({"widths": (4,), "blocks": 40}))
    others = [one for one in encoder.body.children() if not isinstance(one, ResidualBlock)]
    shallow = nn.Sequential(*others)
    images = torch.rand(4, 1, 28, 28)
    found = []
    for body in (encoder.body, shallow):
        first = next(body.parameters())
        outputs = body(images)
        found.append((outputs.detach(), *torch.autograd.grad(outputs.square().sum(), first)))

    assert len(others) == len(list(encoder.body.children())) - 40
    torch.testing.assert_close(found[0], found[1])
