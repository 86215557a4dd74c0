"""What is encoded is what is scored, and what is drawn depends on little."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from model.bundle.manifest import LikelihoodSpec
from model.config import Binarisation
from model.likelihood import estimate
from tests.model import densities

GREY = np.arange(0, 256, 16, dtype=np.uint8).reshape(1, 4, 4, 1)
GAUSSIAN = LikelihoodSpec(family="gaussian", dimensions=16, scale=1.0)


@pytest.mark.parametrize(
    ("trained", "wanted", "used"),
    [
        ("sample", None, "sample"),
        ("threshold", None, "threshold"),
        ("none", None, "threshold"),
        ("sample", "threshold", "threshold"),
        ("none", "sample", "sample"),
    ],
)
def test_images_become_binary_as_wanted_or_as_trained(
    trained: Binarisation,
    wanted: Literal["sample", "threshold"] | None,
    used: str,
) -> None:
    """Data that was binary already passes a threshold unchanged."""
    spec = LikelihoodSpec(family="bernoulli", dimensions=16, binarise=trained)

    assert estimate.binarisation(spec, wanted) == used


def test_a_density_takes_images_as_they_are() -> None:
    """Grey levels are what a Gaussian is a density of."""
    shown, targets = estimate.prepare(GREY, estimate.binarisation(GAUSSIAN, None), 0)

    assert shown.tobytes() == GREY.tobytes()
    assert targets.reshape(-1) == pytest.approx(GREY.reshape(-1) / 255)


@pytest.mark.parametrize("how", ["sample", "threshold"])
def test_the_same_image_is_encoded_and_scored(how: Literal["sample", "threshold"]) -> None:
    """Both are binary, and one is the other in units of [0, 1]."""
    shown, targets = estimate.prepare(GREY, how, 3)

    assert set(np.unique(shown)) == {0, 255}
    assert (targets.reshape(-1) * 255).tolist() == shown.reshape(-1).tolist()


def test_draws_depend_on_seed_row_and_count() -> None:
    """The same three give the same latents, z = mean + σ ε; another of each draws anew."""
    mean, logvar = np.array([5.0, -5.0], np.float32), np.log(np.array([4.0, 0.25], np.float32))
    latents, epsilon = estimate.draw(6, 1, 2, mean, logvar)
    again, _ = estimate.draw(6, 1, 2, mean, logvar)
    others = [estimate.draw(*key, mean, logvar)[0] for key in ((6, 2, 2), (6, 1, 3), (9, 1, 2))]

    assert latents.tobytes() == again.tobytes()
    np.testing.assert_allclose(latents, mean + np.array([2.0, 0.5]) * epsilon, rtol=1e-6)
    assert all(other[0, 0] != latents[0, 0] for other in others)


def test_a_decoder_that_ignores_its_latent_leaves_the_likelihood() -> None:
    """With the prior as posterior every weight is p(x|z) = p(x): no error, and all K count."""
    zeros = np.zeros(2, np.float32)
    latents, epsilon = estimate.draw(7, 0, 0, zeros, zeros)
    target = np.full((1, 4, 4), 0.5, np.float32)

    found = estimate.estimate(
        GAUSSIAN, target, np.zeros((7, 1, 4, 4), np.float32), latents, epsilon, zeros
    )

    exact = -8 * math.log(2 * math.pi) - 0.5 * 16 * 0.25
    assert found.importance_weighted == pytest.approx(exact)
    assert found.reconstruction == pytest.approx(exact)
    assert found.standard_error == pytest.approx(0, abs=1e-9)
    assert found.effective_sample_size == pytest.approx(7)


def test_each_family_is_scored_with_its_own_members() -> None:
    """A Gaussian takes its scale, a logistic its scales and levels, a Bernoulli neither."""
    targets, params = np.ones((1, 2, 2), np.float32), np.full((3, 1, 2, 2), 0.3, np.float32)
    logistic = LikelihoodSpec(family="logistic", dimensions=4, scale=(0.1,), levels=16)
    coins = LikelihoodSpec(family="bernoulli", dimensions=4, binarise="sample")

    for spec, expected in (
        (GAUSSIAN, densities.gaussian_in_numpy(targets, params, 1.0)),
        (logistic, densities.logistic_in_numpy(targets, params, (0.1,), 16)),
        (coins, densities.bernoulli_in_numpy(np.broadcast_to(targets, params.shape), params)),
    ):
        found = spec.log_probability(targets, params)
        np.testing.assert_allclose(found, expected)
