"""The scale that weights are exported with, and the bound on images that are not trained on."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch

from model import pixels
from model.config import (
    SCALE_FLOOR,
    BernoulliConfig,
    GaussianConfig,
    LogisticConfig,
    MlpConfig,
    ModelConfig,
)
from model.likelihood.families import DiscretisedLogistic
from model.networks import elbo
from model.networks.vae import VAE
from model.pixels import Images
from training.data import memmap
from training.fit import calibration
from training.fit.calibration import calibrated_scale, scale_metrics, to_likelihood, validation_elbo

OPTIMAL = GaussianConfig(scale="optimal")


def vae(likelihood: Any, *, channels: int = 1) -> VAE:
    torch.manual_seed(0)
    return VAE(
        ModelConfig.model_validate(
            {
                "channels": channels,
                "height": 2,
                "width": 2,
                "latent_dim": 2,
                "network": MlpConfig(hidden=(4,)),
                "likelihood": likelihood,
            }
        )
    )


def constant(level: float) -> VAE:
    """A model that decodes every latent to one grey level."""
    model = vae(OPTIMAL)
    head = list(model.decoder.body.children())[-2]
    with torch.no_grad():
        head.get_parameter("weight").zero_()
        head.get_parameter("bias").fill_(level)
    return model


def calibrated(model: VAE, images: Images, most: int = 0) -> Any:
    return calibrated_scale(model, images, seed=0, device=torch.device("cpu"), most=most)


def levels(*levels: int) -> Images:
    return np.array(levels, np.uint8).reshape(-1, 1, 1, 1).repeat(2, 1).repeat(2, 2)


def test_the_optimal_scale_is_the_error_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of 0, 51 and 102 grey levels: √((0 + 0.2² + 0.4²)/3), however they fall into
    batches."""
    images, model = levels(102, 153, 204), constant(0.4)

    whole = calibrated(model, images)
    monkeypatch.setattr(calibration, "_CALIBRATION_BATCH", 2)

    assert whole == pytest.approx(math.sqrt(0.2 / 3))
    assert calibrated(model, images) == pytest.approx(whole)


def test_some_of_the_images_will_do() -> None:
    """`most` of them are looked at, evenly chosen."""
    images = levels(102, 153, 102, 153)

    assert calibrated(constant(0.4), images, most=2) == pytest.approx(SCALE_FLOOR)
    assert calibrated(constant(0.4), images) == pytest.approx(math.sqrt(0.02))


def test_the_optimal_scale_has_a_floor() -> None:
    """Images that are reconstructed to the last digit have a scale of one grey level."""
    assert calibrated(constant(0.0), levels(0, 0)) == SCALE_FLOOR


def test_latents_are_drawn_and_the_draws_are_fixed() -> None:
    """Images are decoded from z ~ q(z|x), as in training, and the same ones each time."""
    model, images = vae(OPTIMAL), levels(10, 200, 90)
    with torch.no_grad():
        mean = model.encoder(torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(255)))[0]
        at_the_mean = model.decoder(mean)[1].numpy()
    error = np.sqrt(np.square(images.transpose(0, 3, 1, 2) / 255 - at_the_mean).mean())

    assert calibrated(model, images) == calibrated(model, images)
    assert calibrated(model, images) != pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(
    ("likelihood", "scale"),
    [
        (BernoulliConfig(binarise="sample"), None),
        (GaussianConfig(scale=0.5), 0.5),
        (LogisticConfig(), pytest.approx((DiscretisedLogistic.initial_scale,) * 3)),
    ],
)
def test_other_scales_are_the_weights_own(likelihood: Any, scale: Any) -> None:
    """Where images decide nothing, none are looked at."""
    assert calibrated(vae(likelihood, channels=3), np.empty((0, 2, 2, 3), np.uint8)) == scale


def test_the_manifest_tells_the_likelihood() -> None:
    """An optimal scale is a fixed one once exported, and a logistic has 256 levels."""
    coins = to_likelihood(vae(BernoulliConfig(binarise="sample")).config, None)
    density = to_likelihood(vae(OPTIMAL).config, 0.25)
    levels = to_likelihood(vae(LogisticConfig(), channels=3).config, (0.1, 0.2, 0.3))

    assert (coins.family, coins.binarise, coins.scale) == ("bernoulli", "sample", None)
    assert (density.family, density.scale, density.levels) == ("gaussian", 0.25, None)
    assert (levels.family, levels.scale, levels.levels) == ("logistic", (0.1, 0.2, 0.3), 256)
    assert levels.dimensions == 12


def test_scales_are_figures_of_their_own() -> None:
    """One scale is called so, and those of three channels by their colour."""
    assert scale_metrics(None) == {"scale": None}
    assert scale_metrics(0.5) == scale_metrics((0.5,)) == {"scale": 0.5}
    assert scale_metrics((0.1, 0.2, 0.3)) == {
        "scale_red": 0.1, "scale_green": 0.2, "scale_blue": 0.3,
    }  # fmt: skip


def test_large_images_are_decoded_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decoded together has a bound on its values, as in validation."""
    monkeypatch.setattr(memmap, "_VALUES", 3 * 4)
    model, counts = constant(0.5), []
    model.decoder.register_forward_hook(lambda _, given, __: counts.append(len(given[0])))

    calibrated_scale(model, np.zeros((7, 2, 2, 1), np.uint8), seed=0, device=torch.device("cpu"))

    assert counts == [3, 3, 1]


CPU = torch.device("cpu")


def bernoulli_vae() -> VAE:
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
    model, images = bernoulli_vae(), binary(7)
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
    model = bernoulli_vae()
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
