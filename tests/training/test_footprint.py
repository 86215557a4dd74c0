"""training/footprint.py: an estimate of a step's memory that one can work out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import runs
from tests.training.test_custom import config as custom_config
from training.config import override_config
from training.footprint import training_bytes


def test_weights_count_with_all_their_copies(tmp_path: Path) -> None:
    """What is left without any activations is five times the weights."""
    config = runs.config(tmp_path, "model.network.hidden=[10]", "model.latent_dim=4")
    one, two = (training_bytes(override_config(config, [f"batch_size={size}"])) for size in (1, 2))

    encoder = 784 * 10 + 10 + 10 * 8 + 8
    decoder = 4 * 10 + 10 + 10 * 784 + 784
    assert one - (two - one) == 5 * 4 * (encoder + decoder)


def test_activations_are_what_backward_needs(tmp_path: Path) -> None:
    """The picture, both hidden layers before and after their SiLU, latents, logits and pixels are
    kept, and little else."""
    config = runs.config(tmp_path, "model.network.hidden=[10]", "model.latent_dim=4")
    one, two = (training_bytes(override_config(config, [f"batch_size={size}"])) for size in (1, 2))

    kept = 784 + 2 * 2 * 10 + 4 + 784 + 784
    assert 4 * kept <= two - one < 4 * kept + 100


def test_importance_samples_need_more(tmp_path: Path) -> None:
    """Each draw of a picture has activations of its own in the decoder, in tuning too."""
    config = runs.config(tmp_path, "batch_size=100")
    many = [override_config(config, [key]) for key in ("objective.samples=8", "tuning.epochs=1")]

    first, second = map(training_bytes, many)
    assert first == second > 2 * training_bytes(config)


@pytest.mark.parametrize(
    "network", ['architecture="resnet"', 'architecture="resnet", decoder_widths=[64, 128]']
)
def test_wider_pictures_need_more(tmp_path: Path, network: str) -> None:
    """Four times the cells need about four times the activations, at the same weights."""
    config = runs.config(
        tmp_path, f"model.network={{{network}}}", "model.latent_map=[2, 7, 7]", "batch_size=100"
    )
    larger = override_config(
        config, ["model.height=56", "model.width=56", "model.latent_map=[2, 14, 14]"]
    )

    assert 3 < training_bytes(larger) / training_bytes(config) < 4.1


def test_networks_of_ones_own_count_too(tmp_path: Path) -> None:
    """Their weights and activations are those of any other."""
    config = custom_config(tmp_path, "batch_size=1")

    assert training_bytes(config) > 5 * 4 * (784 * 6 + 6 + 6 * 16 + 16 + 8 * 784 + 784)
