"""The bound on images that are not trained on."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from model import pixels
from model.config import BernoulliConfig, GaussianConfig, MlpConfig, ModelConfig
from model.networks import elbo
from model.networks.vae import VAE
from model.pixels import Images
from training.fit import calibration
from training.fit.calibration import validation_elbo

CPU = torch.device("cpu")


def vae() -> VAE:
    network = MlpConfig(hidden=(8,))
    return VAE(
        ModelConfig(height=4, width=4, latent_dim=2, network=network, likelihood=BernoulliConfig())
    )


def binary(count: int) -> Images:
    generator = np.random.default_rng(0)
    return generator.choice([0, 255], size=(count, 4, 4, 1)).astype(np.uint8)


def bound(
    model: VAE, images: Images, seed: int = 0, how: Literal["sample", "none"] = "none"
) -> float:
    return validation_elbo(model, images, binarise=how, seed=seed, device=CPU)


def test_it_is_the_elbo(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a posterior of no width the bound needs no noise and can be computed directly."""
    model, images = vae(), binary(7)
    monkeypatch.setattr(calibration, "_VALIDATION_BATCH", 3)
    with torch.no_grad():
        assert isinstance(model.encoder.body, torch.nn.Sequential)
        head = model.encoder.body[-1]
        assert isinstance(head, torch.nn.Linear)
        head.weight[2:] = 0
        assert head.bias is not None
        head.bias[2:] = -100
        targets = torch.from_numpy(pixels.to_float(images))
        mean, logvar = model.encoder(targets)
        likelihood = model.log_likelihood(targets, model.decoder(mean)[1])
        expected = elbo.elbo(likelihood, elbo.kl(mean, logvar)).mean().item()

    assert bound(model, images) == pytest.approx(expected, rel=1e-4)


def test_noise_is_fixed() -> None:
    """The same weights have the same bound, binarisation included, and another seed another."""
    model = vae()
    grey = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)

    assert bound(model, grey, how="sample") == bound(model, grey, how="sample")
    assert bound(model, grey, how="sample") != bound(model, grey, seed=1, how="sample")


def test_an_optimal_scale_is_the_one_given() -> None:
    """With it given, a validation image's bound does not depend on the others of its batch."""
    torch.manual_seed(0)
    network = MlpConfig(hidden=(8,))
    likelihood = GaussianConfig(scale="optimal")
    model = VAE(
        ModelConfig(height=4, width=4, latent_dim=2, network=network, likelihood=likelihood)
    )
    fixed = VAE(model.config.model_copy(update={"likelihood": GaussianConfig(scale=0.5)}))
    fixed.load_state_dict(model.state_dict())
    images = binary(5)

    found = validation_elbo(model, images, binarise="none", seed=0, device=CPU, scale=0.5)

    assert found == pytest.approx(bound(fixed, images))
    assert found != pytest.approx(bound(model, images))
