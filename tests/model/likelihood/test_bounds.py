"""Serving's NumPy figures equal training's torch figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.config import LOGISTIC_SCALE_FLOOR
from model.likelihood import bounds
from model.networks import elbo
from tests.model import densities

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(3, 1, 4, 4), (2, 3, 2, 5), (1, 6)])


def draw(seed: int, *shape: int, spread: float = 1.0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return np.asarray(values * np.float32(spread))


@given(seed=seeds, shape=shapes, spread=st.floats(0.1, 50))
def test_bernoulli_equals_torch(seed: int, shape: tuple[int, ...], spread: float) -> None:
    """The Bernoulli log-likelihood is `elbo`'s, for small and large logits."""
    logits = draw(seed, *shape, spread=spread)
    targets = (draw(seed + 1, *shape) > 0).astype(np.float32)

    expected = densities.bernoulli(torch.from_numpy(targets), torch.from_numpy(logits))

    measured = densities.bernoulli_in_numpy(targets, logits)
    np.testing.assert_allclose(measured, expected.numpy(), rtol=1e-5, atol=1e-5)


@given(seed=seeds, shape=shapes, scale=st.floats(1 / 255, 3))
def test_gaussian_equals_torch(seed: int, shape: tuple[int, ...], scale: float) -> None:
    """The Gaussian log-likelihood is `elbo`'s."""
    mean, targets = draw(seed, *shape), draw(seed + 1, *shape)

    expected = densities.gaussian(
        torch.from_numpy(targets).double(), torch.from_numpy(mean).double(), scale
    )

    measured = densities.gaussian_in_numpy(targets, mean, scale)
    np.testing.assert_allclose(measured, expected.numpy(), rtol=1e-5, atol=1e-3)


@given(seed=seeds, scale=st.floats(LOGISTIC_SCALE_FLOOR, 3), spread=st.floats(0.1, 50))
def test_logistic_equals_torch(seed: int, scale: float, spread: float) -> None:
    """The discretised logistic's log-likelihood is `elbo`'s, near the mean and far from it, for one
    image and many rows, each channel with its scale."""
    mean = draw(seed, 4, 3, 2, 2, spread=spread)
    levels = np.random.default_rng(seed).integers(0, 256, (3, 2, 2))
    targets = (levels / 255).astype(np.float32)
    scales = (scale, 0.5, 2 * scale)

    expected = densities.logistic(
        torch.from_numpy(targets), torch.from_numpy(mean), torch.tensor(scales)
    )

    measured = densities.logistic_in_numpy(targets, mean, scales)
    np.testing.assert_allclose(measured, expected.numpy(), rtol=1e-5, atol=1e-4)


@given(mean=st.floats(-2, 3), scale=st.floats(LOGISTIC_SCALE_FLOOR, 30))
def test_a_logistic_pixel_has_one_of_its_levels(mean: float, scale: float) -> None:
    """The probabilities of the 256 levels sum to 1 within 1e-5, whatever mean and scale."""
    targets = (np.arange(256, dtype=np.float32) / np.float32(255)).reshape(-1, 1, 1, 1)

    found = densities.logistic_in_numpy(targets, np.full_like(targets, mean), (scale,))

    assert np.exp(found).sum() == pytest.approx(1, abs=1e-5)


@given(seed=seeds, spread=st.floats(0.001, 8))
def test_kl_equals_torch(seed: int, spread: float) -> None:
    """The KL divergence is `elbo`'s, whole and by dimension."""
    mean, logvar = draw(seed, 3, 7, spread=spread), draw(seed + 1, 3, 7, spread=spread)
    wide = torch.from_numpy(mean).double(), torch.from_numpy(logvar).double()

    measured = bounds.kl_per_dimension(mean, logvar)

    np.testing.assert_allclose(measured, elbo.kl_per_dimension(*wide).numpy(), rtol=1e-9)
    np.testing.assert_allclose(bounds.kl(mean, logvar), elbo.kl(*wide).numpy(), rtol=1e-9)


@given(seed=seeds)
def test_importance_weights_equal_torch(seed: int) -> None:
    """Latents and importance weights are `elbo`'s."""
    mean, logvar, noise = (draw(seed + i, 5, 4) for i in range(3))
    log_likelihood = draw(seed + 3, 5).astype(np.float64)
    tensors = [torch.from_numpy(array) for array in (mean, logvar, noise)]

    latents = bounds.reparameterize(mean, logvar, noise)
    weights = bounds.log_importance_weight(log_likelihood, latents, noise, logvar)

    expected_latents = elbo.reparameterize(*tensors)
    expected = elbo.log_importance_weight(
        torch.from_numpy(log_likelihood), expected_latents, tensors[2], tensors[1]
    )
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents, expected_latents.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-5, atol=1e-5)


@given(seed=seeds, shift=st.floats(-1e5, 1e5))
def test_importance_weighted_bound_equals_torch(seed: int, shift: float) -> None:
    """The bound is `elbo`'s, however far the weights lie from 0."""
    weights = draw(seed, 4, 9).astype(np.float64) + shift

    expected = elbo.importance_weighted_bound(torch.from_numpy(weights))

    np.testing.assert_allclose(bounds.importance_weighted_bound(weights), expected.numpy())


def test_squared_error_is_a_sum_over_the_image() -> None:
    """Four pixels that are off by a half make a squared error of 1."""
    targets = np.zeros((2, 1, 2, 2), dtype=np.float32)
    shown = np.full((2, 1, 2, 2), 0.5, dtype=np.float32)

    assert bounds.squared_error(targets, shown).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_bernoulli_is_finite_for_extreme_logits(logit: float) -> None:
    """A wrong pixel costs exactly its logit, even where the sigmoid is 0 or 1."""
    targets = np.full((1, 1), float(logit < 0), dtype=np.float32)

    assert densities.bernoulli_in_numpy(targets, np.full((1, 1), logit, dtype=np.float32)) == [-1e4]


def test_equal_weights_all_count() -> None:
    """K equal weights, wherever they lie, have the size K and a bound without error."""
    weights = np.full((1, 8), -1e4)

    assert bounds.effective_sample_size(weights) == pytest.approx([8])
    assert bounds.standard_error(weights) == pytest.approx([0])


def test_one_weight_that_outweighs_all_counts_alone() -> None:
    """Of weights of which one carries the sum, the size is 1 and the error nearly 1."""
    weights = np.array([[0.0, -1e3, -1e3, -1e3]])

    assert bounds.effective_sample_size(weights) == pytest.approx([1])
    # w = (1, 0, 0, 0): mean ¼, standard deviation ½, over √4.
    assert bounds.standard_error(weights) == pytest.approx([1])


def test_size_and_error_by_hand() -> None:
    """Weights 1 and 3 have the size 16/10 and the error √2/(2 √2)."""
    weights = np.log([[1.0, 3.0]])

    assert bounds.effective_sample_size(weights) == pytest.approx([1.6])
    assert bounds.standard_error(weights) == pytest.approx([0.5])


def test_a_single_weight_tells_nothing_of_its_error() -> None:
    """With K = 1 the size is 1 and the error unknown."""
    weights = np.array([[-3.0], [5.0]])

    assert bounds.effective_sample_size(weights).tolist() == [1, 1]
    assert np.isnan(bounds.standard_error(weights)).all()


@given(seed=seeds, shift=st.floats(-1e5, 1e5))
def test_size_and_error_are_two_sides_of_one(seed: int, shift: float) -> None:
    """se² (K − 1) = K/size − 1, and the size lies in 1 … K, wherever the weights lie."""
    weights = draw(seed, 3, 9, spread=3).astype(np.float64) + shift

    size, error = (
        bounds.effective_sample_size(weights),
        bounds.standard_error(weights),
    )

    assert ((size >= 1 - 1e-9) & (size <= 9 + 1e-9)).all()
    np.testing.assert_allclose(np.square(error) * 8, 9 / size - 1, rtol=1e-9)


def test_the_error_is_that_of_repeated_runs() -> None:
    """Over 2,000 runs the bound scatters by what each run says of itself, to 5 %."""
    weights = draw(0, 2000, 500).astype(np.float64)

    scatter = bounds.importance_weighted_bound(weights).std(ddof=1)

    assert bounds.standard_error(weights).mean() == pytest.approx(scatter, rel=0.05)
