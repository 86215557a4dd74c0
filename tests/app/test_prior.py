"""Latents drawn ahead are those of their seeds."""

from __future__ import annotations

import pytest

from app.prior import Prior, draw_seed
from model import noise
from model.noise import MAX_SEED, Purpose


@pytest.mark.parametrize("shape", [(2,), (3, 2, 2), (300,)])
def test_a_latent_is_row_0_of_its_seed(shape: tuple[int, ...]) -> None:
    """Who sends the seed later gets the very same latent, long after the first were used up."""
    prior = Prior(shape)
    taken = [prior.take() for _ in range(70)]
    for seed, latent in taken:
        assert latent.tobytes() == noise.standard_normal(seed, Purpose.PRIOR, 0, 1, shape).tobytes()
        assert latent.shape == (1, *shape)
    assert len({seed for seed, _ in taken}) == 70


def test_seeds_are_in_range() -> None:
    """A drawn seed is one that a caller may send."""
    assert all(0 <= draw_seed() <= MAX_SEED for _ in range(100))
