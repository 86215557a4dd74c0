"""The same bits for the same (seed, purpose, row), whatever else is drawn."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.noise import MAX_SEED, Purpose, standard_normal, uniform

seeds = st.integers(0, MAX_SEED)
purposes = st.sampled_from(Purpose)

GOLDEN_UNIFORM = [0.8824668302545412, 0.3690383346754841, 0.5170696944527114]
GOLDEN_NORMAL = [[1.187409, -0.3344014, 0.042800445], [0.5774271, 0.5746888, -0.29845202]]


def test_golden_uniform_values() -> None:
    """The documented generator gives these values, on every machine and in every version."""
    words = np.random.Philox(counter=0, key=7 + (1 << 64)).random_raw(3)
    expected = ((words >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52

    drawn = uniform(7, Purpose.PRIOR, 0, 1, (3,))

    np.testing.assert_array_equal(drawn[0], expected)
    np.testing.assert_array_equal(drawn[0], GOLDEN_UNIFORM)


def test_golden_normal_values() -> None:
    """The normal values of a seed never change."""
    drawn = standard_normal(7, Purpose.PRIOR, 0, 2, (3,))

    np.testing.assert_array_equal(drawn, np.array(GOLDEN_NORMAL, dtype=np.float32))


@given(
    seed=seeds,
    purpose=purposes,
    first=st.integers(0, 10**6),
    rows=st.integers(1, 6),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    cut=st.integers(0, 6),
)
def test_a_row_does_not_depend_on_its_batch(
    seed: int, purpose: Purpose, first: int, rows: int, shape: list[int], cut: int
) -> None:
    """Rows drawn together equal rows drawn in any two parts."""
    cut = min(cut, rows)
    whole = standard_normal(seed, purpose, first, rows, shape)
    parts = (
        standard_normal(seed, purpose, first, cut, shape),
        standard_normal(seed, purpose, first + cut, rows - cut, shape),
    )

    np.testing.assert_array_equal(whole, np.concatenate(parts))


@given(seed=seeds, other=seeds, row=st.integers(0, 1000))
def test_seeds_purposes_and_rows_differ(seed: int, other: int, row: int) -> None:
    """Another seed, purpose or row gives other values."""
    first = uniform(seed, Purpose.PRIOR, row, 1, (4,))

    if other != seed:
        assert not np.array_equal(first, uniform(other, Purpose.PRIOR, row, 1, (4,)))
    assert not np.array_equal(first, uniform(seed, Purpose.POSTERIOR, row, 1, (4,)))
    assert not np.array_equal(first, uniform(seed, Purpose.PRIOR, row + 1, 1, (4,)))


@given(seed=seeds, purpose=purposes)
def test_normal_is_the_inverse_of_the_cumulative_distribution(seed: int, purpose: Purpose) -> None:
    """A normal value is the quantile at its uniform value, to a relative error of 1e-6."""
    probabilities = uniform(seed, purpose, 0, 1, (64,))[0]
    expected = [NormalDist().inv_cdf(probability) for probability in probabilities]

    drawn = standard_normal(seed, purpose, 0, 1, (64,))[0]

    np.testing.assert_allclose(drawn, expected, rtol=1e-6, atol=1e-7)


def test_tails_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most extreme uniform values that can be drawn give finite, exact normal values."""
    extremes = np.array([[0.5 * 2.0**-52, 1 - 0.5 * 2.0**-52, 1e-12, 0.5, 0.925, 0.075]])
    monkeypatch.setattr("model.noise.uniform", lambda *_: extremes)

    drawn = standard_normal(0, Purpose.PRIOR, 0, 1, (6,))

    expected = [[NormalDist().inv_cdf(probability) for probability in extremes[0]]]
    np.testing.assert_allclose(drawn, expected, rtol=1e-6, atol=1e-7)


def test_moments() -> None:
    """A hundred thousand values have the mean, variance, skew and kurtosis of N(0, 1)."""
    values = standard_normal(3, Purpose.POSTERIOR, 0, 1000, (100,)).astype(np.float64).ravel()
    error = 1 / math.sqrt(values.size)

    assert abs(values.mean()) < 4 * error
    assert abs(values.var() - 1) < 4 * math.sqrt(2) * error
    assert abs((values**3).mean()) < 4 * math.sqrt(15) * error
    assert abs((values**4).mean() - 3) < 4 * math.sqrt(96) * error


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    """A seed that JSON can't carry exactly is an error that names the range."""
    with pytest.raises(ValueError, match=f"0 … {MAX_SEED}, got {seed}"):
        uniform(seed, Purpose.PRIOR, 0, 1, (1,))


def test_no_rows() -> None:
    """Zero rows are an empty array of the right shape."""
    assert standard_normal(0, Purpose.PRIOR, 5, 0, (2, 3)).shape == (0, 2, 3)


def test_threads_do_not_disturb_each_other() -> None:
    """Rows drawn in several threads at once are those drawn alone."""

    def draw(seed: int) -> bytes:
        return uniform(seed, Purpose.PRIOR, seed, 50, (7,)).tobytes()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(200)))
    assert together == [draw(seed) for seed in range(200)]
