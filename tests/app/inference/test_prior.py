"""Latents of a model's prior are those of their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.prior import Prior, draw_seed
from model import noise
from model.noise import MAX_SEED, Purpose
from model.prior.mixture import Mixture


@pytest.mark.parametrize("shape", [(2,), (3, 2, 2), (300,)])
def test_a_latent_is_row_0_of_its_seed(shape: tuple[int, ...]) -> None:
    """Who sends the seed later gets the very same latent, long after the first were used up."""
    prior = Prior(shape)
    taken = [prior.take(1.0) for _ in range(70)]
    for seed, latent in taken:
        assert latent.tobytes() == noise.standard_normal(seed, Purpose.PRIOR, 0, 1, shape).tobytes()
        assert latent.shape == (1, *shape)
    assert len({seed for seed, _ in taken}) == 70


def test_a_latent_of_a_mixture_is_row_0_of_its_seed() -> None:
    """A bundle's mixture is drawn from alike with a seed and without, at any temperature."""
    rng = np.random.default_rng(0)
    mixture = Mixture(
        weights=np.array([0.25, 0.75]),
        means=rng.normal(size=(2, 12)).astype(np.float32),
        scales=rng.uniform(0.5, 2, size=(2, 12)).astype(np.float32),
    )
    prior = Prior((3, 2, 2), mixture)
    for temperature in (0.0, 0.7, 1.0):
        seed, latent = prior.take(temperature)
        again = prior.draw([seed], [0], np.array([temperature], np.float32))
        assert latent.tobytes() == again.tobytes()
        assert latent.shape == (1, 3, 2, 2)


def test_seeds_are_in_range() -> None:
    """A drawn seed is one that a caller may send."""
    assert all(0 <= draw_seed() <= MAX_SEED for _ in range(100))
