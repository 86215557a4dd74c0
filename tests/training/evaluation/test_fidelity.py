"""Distances and shares with answers known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.fidelity import Vectors, frechet_distance, neighbours


def gaussian(n: int, mean: Vectors, covariance: Vectors, seed: int = 0) -> Vectors:
    """Vectors [n, d] whose mean and covariance are exactly these."""
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((n, len(mean)))
    drawn -= drawn.mean(axis=0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    vectors: Vectors = white @ np.linalg.cholesky(covariance).T + mean
    return vectors


def test_the_distance_of_two_gaussians_is_known() -> None:
    """Means 5 apart, deviations 1 and 3 in each of two dimensions: 5² + 2 · (3 − 1)²."""
    first = gaussian(50, np.zeros(2), np.eye(2))
    second = gaussian(70, np.array([3.0, 4.0]), 9 * np.eye(2), seed=1)

    assert frechet_distance(first, second) == pytest.approx(25 + 8)


def test_the_distance_of_turned_gaussians_is_known() -> None:
    """For covariances that do not commute it is tr(C₁ + C₂) − 2 tr (C₁ C₂)^½; in two dimensions
    tr M^½ = √(tr M + 2 √det M)."""
    one, other = np.array([[4.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 1.0], [1.0, 2.0]])
    product = one @ other
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    first, second = gaussian(50, np.zeros(2), one), gaussian(60, np.zeros(2), other, seed=1)

    assert frechet_distance(first, second) == pytest.approx(5 + 4 - 2 * root)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_distance_is_symmetric_and_none_of_a_set_to_itself(seed: int, d: int) -> None:
    """Whatever the sets, even where a covariance has no full rank."""
    rng = np.random.Generator(np.random.PCG64(seed))
    first, second = rng.standard_normal((4, d)), rng.uniform(size=(7, d))

    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    there, back = frechet_distance(first, second), frechet_distance(second, first)
    assert there == pytest.approx(back, abs=1e-6)
    assert there > 0


def test_identical_sets_are_near_each_other_in_everything() -> None:
    """Each ball holds its k neighbours and its own centre, so the density is (k + 1)/k."""
    vectors = gaussian(60, np.zeros(3), np.eye(3))

    found = neighbours(vectors, vectors, nearest=4)

    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(5 / 4)


def test_sets_far_apart_have_nothing_in_common() -> None:
    """All four shares are 0."""
    vectors = gaussian(60, np.zeros(3), np.eye(3))

    found = neighbours(vectors, vectors + 1000)

    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_shares_by_hand() -> None:
    """Real 0, 1, 3 have with k = 1 the radii 1, 1, 2; samples 1.5 and 4.5 the radii 3 and 3.

    1.5 lies in the balls of 1 and 3, 4.5 in that of 3; of the real ones 0 has no sample in its
    ball, and all lie in a sample's.
    """
    real, samples = np.array([[0.0], [1.0], [3.0]]), np.array([[1.5], [4.5]])

    found = neighbours(real, samples, nearest=1)

    assert found.precision == 1
    assert found.recall == 1
    assert found.density == pytest.approx(3 / 2)
    assert found.coverage == pytest.approx(2 / 3)


def test_a_set_that_misses_half_is_precise_and_covers_half() -> None:
    """Precision and density see only what is drawn, recall and coverage what is left out."""
    one, other = (gaussian(200, np.full(2, at), np.eye(2), seed=3) for at in (0.0, 100.0))
    again = gaussian(200, np.zeros(2), np.eye(2), seed=4)

    found = neighbours(np.concatenate([one, other]), again)

    assert found.precision > 0.95
    assert found.density == pytest.approx(1, abs=0.15)
    assert 0.45 < found.recall <= 0.5
    assert 0.4 < found.coverage <= 0.5


def test_fresh_draws_of_one_distribution_have_the_expected_coverage() -> None:
    """It is 1 − Π (n − i)/(m + n − i), i = 1 … k (Naeem et al. 2020), about 1 − 2^−k
    for sets of one size; here .969."""
    first, second = (gaussian(800, np.zeros(4), np.eye(4), seed=seed) for seed in (5, 6))

    found = neighbours(first, second)

    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert found.density == pytest.approx(1, abs=0.05)


def test_too_few_vectors_are_refused() -> None:
    """A covariance needs two, a k-th neighbour k + 1."""
    few = np.zeros((5, 2))

    with pytest.raises(ValueError, match="needs two vectors, got 1 and 5"):
        frechet_distance(few[:1], few)
    with pytest.raises(ValueError, match="need more than 5 vectors, got 5 and 5"):
        neighbours(few, few)
