"""The networks and the likelihood together."""

from __future__ import annotations

import math

import pytest
import torch

from model.config import (
    LOGISTIC_SCALE_FLOOR,
    SCALE_FLOOR,
    BernoulliConfig,
    GaussianConfig,
    LogisticConfig,
    MlpConfig,
    ModelConfig,
)
from model.likelihood.families import DiscretisedLogistic, Gaussian
from model.networks.vae import VAE
from tests.model import densities

NETWORK = MlpConfig(hidden=(8,))


def test_forward_is_encode_draw_decode() -> None:
    """One pass encodes, adds the noise it is given and decodes, and draws nothing itself."""
    vae = VAE(ModelConfig(latent_dim=3, network=NETWORK, likelihood=BernoulliConfig()))
    images, noise = torch.rand(2, 1, 28, 28), torch.randn(2, 1, 3)

    mean, logvar, latents, params = vae(images, noise)

    torch.testing.assert_close(latents, mean + (logvar / 2).exp() * noise[:, 0])
    expected = vae.decoder(latents)[1]
    torch.testing.assert_close(params, expected)
    torch.testing.assert_close(vae(images, noise).params, params, rtol=0, atol=0)


def test_the_draws_of_a_image_stand_together() -> None:
    """With K draws of each image, row i·K + k is the k-th of image i."""
    vae = VAE(ModelConfig(latent_dim=3, network=NETWORK, likelihood=BernoulliConfig()))
    images, noise = torch.rand(2, 1, 28, 28), torch.randn(2, 4, 3)

    passed = vae(images, noise)

    assert len(passed.latents) == len(passed.params) == 8
    for draw in range(4):
        alone = vae(images, noise[:, draw : draw + 1])
        torch.testing.assert_close(passed.latents[draw::4], alone.latents)
        torch.testing.assert_close(passed.params[draw::4], alone.params)


def test_bernoulli_has_no_scale() -> None:
    """A Bernoulli likelihood is scored on logits and has no scale."""
    vae = VAE(ModelConfig(network=NETWORK, likelihood=BernoulliConfig()))
    targets, params = torch.ones(2, 1, 28, 28), torch.randn(2, 1, 28, 28)

    assert vae.scale() is None
    torch.testing.assert_close(
        vae.log_likelihood(targets, params), densities.bernoulli(targets, params)
    )


@pytest.mark.parametrize("scale", [1.0, 1 / math.sqrt(2), 0.1])
def test_fixed_scale(scale: float) -> None:
    """A fixed scale is what was configured, and is not trained."""
    vae = VAE(ModelConfig(network=NETWORK, likelihood=GaussianConfig(scale=scale)))
    targets, params = torch.rand(2, 1, 28, 28), torch.randn(2, 1, 28, 28)
    found = vae.scale()

    assert found is not None
    assert found.item() == pytest.approx(scale)
    assert "log_scale" not in dict(vae.named_parameters())
    torch.testing.assert_close(
        vae.log_likelihood(targets, params), densities.gaussian(targets, params, scale)
    )


def test_learned_scale_has_a_floor_it_can_leave() -> None:
    """A learned scale never falls below one grey level, and has a gradient even there."""
    vae = VAE(ModelConfig(network=NETWORK, likelihood=GaussianConfig()))
    assert vae.log_scale is not None
    first = vae.scale()
    assert first is not None
    assert first.item() == pytest.approx(Gaussian.initial_scale)

    with torch.no_grad():
        vae.log_scale.fill_(-15)
    targets, params = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28)
    density = vae.log_likelihood(targets, params).sum()
    (gradient,) = torch.autograd.grad(density, vae.log_scale)
    lowest = vae.scale()

    assert lowest is not None
    assert lowest.item() == pytest.approx(SCALE_FLOOR, rel=1e-3)
    assert gradient.item() > 0


def test_a_logistic_has_a_scale_a_channel() -> None:
    """Each channel has a scale of its own, trained along, above a tenth of a grey level."""
    vae = VAE(ModelConfig(channels=3, network=NETWORK, likelihood=LogisticConfig()))
    assert vae.log_scale is not None
    assert vae.scale_value() == pytest.approx((DiscretisedLogistic.initial_scale,) * 3)
    targets, params = torch.rand(2, 3, 28, 28), torch.rand(2, 3, 28, 28)

    with torch.no_grad():
        vae.log_scale.copy_(torch.tensor([-20.0, -3.0, 0.0]))
    likelihood = vae.log_likelihood(targets, params)
    (gradient,) = torch.autograd.grad(likelihood.sum(), vae.log_scale)

    scale = vae.scale()
    assert scale is not None
    assert scale[0].item() == pytest.approx(LOGISTIC_SCALE_FLOOR, rel=1e-4)
    torch.testing.assert_close(likelihood, densities.logistic(targets, params, scale.detach()))
    assert (gradient[:2] > 0).all()  # both are below what random pixels scatter by


def test_a_logistic_starts_as_wide_as_a_gaussian() -> None:
    """The standard deviation of a logistic is π/√3 times its scale."""
    assert DiscretisedLogistic.initial_scale * math.pi / math.sqrt(3) == pytest.approx(
        Gaussian.initial_scale
    )


def test_an_optimal_scale_is_the_batchs() -> None:
    """It is no parameter and has no value of its own: it is the root mean squared error of the
    images at hand, unless another is given."""
    vae = VAE(ModelConfig(network=NETWORK, likelihood=GaussianConfig(scale="optimal")))
    targets, params = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28)
    error = (targets - params).square().mean().sqrt()

    assert vae.is_calibrated_by_data
    assert vae.scale() is None
    assert vae.scale_value() is None
    assert "log_scale" not in dict(vae.named_parameters())
    torch.testing.assert_close(
        vae.log_likelihood(targets, params), densities.gaussian(targets, params, error)
    )
    torch.testing.assert_close(
        vae.log_likelihood(targets, params, torch.tensor(0.5)),
        densities.gaussian(targets, params, 0.5),
    )
