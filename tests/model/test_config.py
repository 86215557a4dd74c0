"""What a model's configuration accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model.config import (
    BernoulliConfig,
    ConvConfig,
    GaussianConfig,
    MlpConfig,
    ModelConfig,
    ResnetConfig,
)


def test_unknown_keys_fail() -> None:
    """A misspelt key is an error that names it, at any depth."""
    with pytest.raises(ValidationError, match="hiden"):
        ModelConfig.model_validate({"network": {"architecture": "mlp", "hiden": [3]}})


def test_a_configuration_can_not_be_changed() -> None:
    """A configuration is immutable."""
    config = ModelConfig()

    with pytest.raises(ValidationError, match="frozen"):
        config.latent_dim = 3  # type: ignore[misc]


@given(
    halvings=st.integers(2, 4),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
)
def test_conv_takes_the_sizes_that_its_halvings_divide(
    halvings: int, height: int, width: int
) -> None:
    """A conv network is accepted exactly for the sizes that 2^halvings divides."""
    factor = 2**halvings
    network = ConvConfig(widths=(4,) * halvings)
    divides = height % factor == 0 and width % factor == 0

    if divides:
        assert ModelConfig(height=height, width=width, network=network).height == height
    else:
        with pytest.raises(ValidationError, match=f"divisible by {factor}, got {height}×{width}"):
            ModelConfig(height=height, width=width, network=network)


def test_sizes_that_follow_from_the_configuration() -> None:
    """Latent shape, image shape and number of pixel values follow from the sizes."""
    config = ModelConfig(channels=3, height=20, width=12, latent_dim=7)

    assert config.latent_shape == (7,)
    assert config.image_shape == (3, 20, 12)
    assert config.dimensions == 720


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"height": 30, "network": {"architecture": "resnet"}},
            "resnet network that makes one cell of 4×4 pixels .* divisible by 4, got 30×28",
        ),
        (
            {"latent_map": [3, 7, 8], "network": {"architecture": "resnet"}},
            r"latent_map must be \[3, 7, 7\], the network's smallest .* got \[3, 7, 8\]",
        ),
        (
            {"latent_map": [3, 7, 7]},
            "latent_map: a mlp network has a latent vector; use latent_dim",
        ),
        (
            {"network": {"architecture": "resnet", "decoder_blocks": [1, 2, 3]}},
            "decoder_blocks needs 2 entries, as widths has, got 3",
        ),
    ],
)
def test_a_resnet_says_what_does_not_fit(document: dict[str, Any], message: str) -> None:
    """Sizes, maps and lists that the network can't have are refused with what it can."""
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(document)


def test_a_latent_map_takes_the_place_of_the_vector() -> None:
    """With `latent_map` the latent's shape and number of values are the map's."""
    config = ModelConfig(latent_map=(2, 7, 7), network=ResnetConfig())

    assert config.latent_shape == (2, 7, 7)
    assert config.latent_dimensions == 98
    assert ModelConfig(latent_dim=5).latent_dimensions == 5


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"network": {"architecture": "mlp"}}, MlpConfig),
        ({"network": {"architecture": "conv", "widths": [8, 8]}}, ConvConfig),
        ({"network": {"architecture": "resnet", "widths": [8]}}, ResnetConfig),
    ],
)
def test_the_architecture_chooses_the_network(document: dict[str, Any], kind: type) -> None:
    """`architecture` decides which keys a network has."""
    assert isinstance(ModelConfig.model_validate(document).network, kind)


@pytest.mark.parametrize(
    "document",
    [
        {"channels": 2},
        {"latent_dim": 0},
        {"network": {"architecture": "conv", "widths": [8]}},
        {"network": {"architecture": "mlp", "hidden": []}},
        {"network": {"architecture": "resnet", "widths": []}},
        {"network": {"architecture": "resnet", "patch": 3}},
        {"network": {"architecture": "resnet", "blocks": -1}},
        {"network": {"architecture": "transformer"}},
        {"likelihood": {"family": "gaussian", "scale": 0}},
        {"likelihood": {"family": "gaussian", "scale": float("nan")}},
        {"likelihood": {"family": "bernoulli", "binarise": "maybe"}},
        {"likelihood": {"family": "bernoulli", "scale": 1}},
        {"likelihood": {"family": "gaussian", "scale": "best"}},
        {"likelihood": {"family": "logistic", "scale": 0.1}},
    ],
)
def test_values_out_of_range_fail(document: dict[str, Any]) -> None:
    """No configuration holds a value that no network can be built from."""
    with pytest.raises(ValidationError):
        ModelConfig.model_validate(document)


def test_likelihood_defaults_are_safe() -> None:
    """By default nothing is binarised behind one's back, and a Gaussian learns its scale."""
    assert BernoulliConfig().binarise == "none"
    assert GaussianConfig().scale == "learned"
    assert ModelConfig().likelihood == GaussianConfig()
