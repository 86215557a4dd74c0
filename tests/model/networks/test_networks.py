"""Shapes, ranges and beginnings of both networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.config import (
    LOGVAR_LIMIT,
    BernoulliConfig,
    ConvConfig,
    GaussianConfig,
    LogisticConfig,
    MlpConfig,
    ModelConfig,
    NetworkConfig,
    ResnetConfig,
)
from model.networks.networks import Decoder, Encoder, parameter_count

NETWORKS = (
    MlpConfig(hidden=(9, 7)),
    ConvConfig(widths=(4, 6), blocks=1, hidden=8),
    ResnetConfig(widths=(4, 6), blocks=1, hidden=8),
)


@given(
    network=st.sampled_from(NETWORKS),
    channels=st.sampled_from([1, 3]),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    latent=st.integers(1, 5),
    count=st.integers(1, 3),
)
@settings(max_examples=30)
def test_shapes(
    network: NetworkConfig, channels: int, rows: int, columns: int, latent: int, count: int
) -> None:
    """Every architecture takes any allowed size, rectangular ones too, and gives it back."""
    config = ModelConfig.model_validate(
        {
            "channels": channels,
            "height": 4 * rows,
            "width": 4 * columns,
            "latent_dim": latent,
            "network": network,
        }
    )
    images = torch.rand(count, channels, 4 * rows, 4 * columns)

    mean, logvar = Encoder(config)(images)
    pixels, params = Decoder(config)(mean)

    assert mean.shape == logvar.shape == (count, latent)
    assert pixels.shape == params.shape == images.shape


@pytest.mark.parametrize("network", NETWORKS)
def test_log_variances_are_clamped(network: NetworkConfig) -> None:
    """However extreme an image, the log-variance stays where its exponential is finite."""
    torch.manual_seed(0)  # one start in a hundred has no hidden unit that the image reaches
    encoder = Encoder(ModelConfig(height=8, width=8, network=network))

    _, logvar = encoder(torch.full((1, 1, 8, 8), 1e9))

    assert logvar.abs().max() == LOGVAR_LIMIT


def test_bernoulli_decoder_shows_probabilities() -> None:
    """Under a Bernoulli likelihood `params` are logits, and `pixels` their sigmoid."""
    decoder = Decoder(ModelConfig(likelihood=BernoulliConfig()))

    pixels, params = decoder(torch.randn(3, 32) * 10)

    torch.testing.assert_close(pixels, params.sigmoid())


@pytest.mark.parametrize("likelihood", [GaussianConfig(), LogisticConfig()])
def test_other_decoders_show_clamped_means(likelihood: GaussianConfig | LogisticConfig) -> None:
    """Under other likelihoods `params` is the mean as it is, and `pixels` fit to be seen."""
    decoder = Decoder(ModelConfig(likelihood=likelihood))

    pixels, params = decoder(torch.randn(3, 32) * 100)

    assert params.min() < 0
    torch.testing.assert_close(pixels, params.clamp(0, 1))


def test_no_layer_depends_on_the_batch() -> None:
    """There is neither dropout nor batch normalisation in any network."""
    forbidden = (nn.Dropout, nn.BatchNorm1d, nn.BatchNorm2d)
    for network in NETWORKS:
        config = ModelConfig(height=8, width=8, network=network)
        for module in (*Encoder(config).modules(), *Decoder(config).modules()):
            assert not isinstance(module, forbidden)


def test_outputs_are_float32_under_mixed_precision() -> None:
    """Log-variances and logits keep all their digits where the layers compute in bfloat16."""
    config = ModelConfig(height=8, width=8, network=NETWORKS[1])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = (*Encoder(config)(torch.rand(2, 1, 8, 8)), *Decoder(config)(torch.randn(2, 32)))

    assert {output.dtype for output in outputs} == {torch.float32}


def test_weights_of_conv_keep_their_names() -> None:
    """Checkpoints and bundles know the weights by these names."""
    names = Decoder(ModelConfig(network=ConvConfig(widths=(4, 6)))).state_dict().keys()

    assert {name.removesuffix(".weight") for name in names if name.endswith("weight")} == {
        "body.0", "body.2", "body.4.residual.1", "body.4.residual.3", "body.6",
        "body.8.residual.1", "body.8.residual.3", "body.10",
    }  # fmt: skip


def test_parameter_count() -> None:
    """The count is the number of weights and biases."""
    assert parameter_count(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))) == 12 + 4 + 4 + 1
