"""A learned prior in NumPy: its density, its draws and its file."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import noise
from model.noise import MAX_SEED, Purpose
from model.prior.mixture import Mixture, draw_latents, parse_mixture, write_mixture

GOLDEN_UNIFORM = [0.551791328987202, 0.6015307977510179]
GOLDEN_COMPONENTS = [1, 2]
GOLDEN_NORMAL = [[1.187409, -0.3344014, 0.042800445], [0.5774271, 0.5746888, -0.29845202]]
"""As the generator's own tests have them, for seed 7."""


def mixture(components: int = 3, size: int = 2, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.2, 1, components)
    return Mixture(
        weights=weights / weights.sum(),
        means=rng.normal(scale=3, size=(components, size)).astype(np.float32),
        scales=rng.uniform(0.2, 2, size=(components, size)).astype(np.float32),
    )


def ones(n: int) -> Any:
    return np.ones(n, np.float32)


def test_a_density_by_hand() -> None:
    """¼ N(−1, 1) + ¾ N(2, ½²) at 0 and at 2, worked out term by term."""
    prior = Mixture(
        np.array([0.25, 0.75]),
        np.array([[-1], [2]], np.float32),
        np.array([[1], [0.5]], np.float32),
    )
    root = math.sqrt(2 * math.pi)
    at_zero = (0.25 * math.exp(-0.5) + 0.75 / 0.5 * math.exp(-8)) / root
    at_two = (0.25 * math.exp(-4.5) + 0.75 / 0.5) / root

    density = prior.log_density(np.array([[0], [2]], np.float32))

    assert density == pytest.approx([math.log(at_zero), math.log(at_two)], rel=1e-12)


def test_a_density_far_from_all_components_is_finite() -> None:
    """The largest term is taken out first, so that the logarithm is never of 0."""
    [far] = mixture().log_density(np.full((1, 2), 1e4, np.float32))

    assert -1e12 < far < -1e6


@given(
    seeds=st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=4),
    first=st.integers(0, 10**6),
    temperature=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_row_does_not_depend_on_its_batch(
    seeds: list[int], first: int, temperature: float
) -> None:
    """Rows of several callers drawn together have the bits of each drawn alone."""
    prior = mixture(size=6)
    rows = [first + index for index in range(len(seeds))]
    temperatures = np.float32(temperature) * ones(len(seeds))

    whole = prior.draw(seeds, rows, temperatures, (3, 2))

    alone = [
        prior.draw([seed], [row], temperatures[:1], (3, 2))
        for seed, row in zip(seeds, rows, strict=True)
    ]
    assert whole.tobytes() == np.concatenate(alone).tobytes()


def test_golden_draws() -> None:
    """The documented generator chooses these components of a seed, and moves the noise that
    N(0, I) would have given it; on every machine and in every version."""
    prior = Mixture(
        np.array([0.25, 0.3125, 0.4375]),
        np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.float32),
        np.array([[1, 1, 1], [0.5, 0.5, 0.5], [2, 2, 2]], np.float32),
    )
    words = np.random.Philox(counter=0, key=7 + (4 << 64)).random_raw(8)[::4]
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52

    drawn = prior.draw([7, 7], [0, 1], ones(2), (3,))

    np.testing.assert_array_equal(uniform, GOLDEN_UNIFORM)
    normal, chosen = np.array(GOLDEN_NORMAL, np.float32), GOLDEN_COMPONENTS
    np.testing.assert_array_equal(drawn, prior.means[chosen] + prior.scales[chosen] * normal)


def test_a_row_has_the_noise_of_its_seed() -> None:
    """Within its component a row is what N(0, I) would give it; at temperature 0, the mean."""
    prior = mixture()

    centres = prior.draw([5] * 50, range(50), 0 * ones(50), (2,))
    drawn = prior.draw([5] * 50, range(50), ones(50), (2,))

    chosen = [prior.means.tolist().index(row) for row in centres.tolist()]
    normal = noise.standard_normal(5, Purpose.PRIOR, 0, 50, (2,))
    np.testing.assert_array_equal(drawn, centres + prior.scales[chosen] * normal)


def test_components_are_drawn_by_their_weights() -> None:
    """Of 20,000 rows each component has its share."""
    prior = mixture()

    centres = prior.draw([1] * 20_000, range(20_000), 0 * ones(20_000), (2,))

    shares = [(centres == mean).all(axis=1).mean() for mean in prior.means]
    assert shares == pytest.approx(prior.weights.tolist(), abs=0.015)


def test_the_standard_normal_as_a_mixture_is_itself() -> None:
    """One component at 0 of scale 1 draws what N(0, I) draws, and has its density."""
    single = Mixture(np.ones(1), np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32))

    drawn = draw_latents(single, 3, 9, (4,))

    np.testing.assert_array_equal(drawn, draw_latents(None, 3, 9, (4,)))
    expected = -0.5 * (np.square(drawn.astype(float)).sum(axis=1) + 4 * math.log(2 * math.pi))
    np.testing.assert_allclose(single.log_density(drawn), expected, rtol=1e-12)


def test_a_written_mixture_reads_back() -> None:
    """Bit by bit."""
    prior = mixture()
    read = parse_mixture(write_mixture(prior))

    for name in ("weights", "means", "scales"):
        assert getattr(read, name).tobytes() == getattr(prior, name).tobytes()
    assert read.shape == (3, 2)


def archive(**changes: Any) -> bytes:
    prior, buffer = mixture(), io.BytesIO()
    arrays = {"weights": prior.weights, "means": prior.means, "scales": prior.scales}
    np.savez(buffer, **(arrays | changes))  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "not an archive"),
        (archive()[:100], "not an archive"),
        (archive(weights=np.array([object()])), "not an archive"),
        (archive(more=np.ones(1)), "has the arrays means, more, scales, weights"),
        (archive(means=np.ones((3, 2))), r"means is float64 \(3, 2\)"),
        (archive(scales=np.ones((3, 1), np.float32)), r"scales is float32 \(3, 1\)"),
        (archive(weights=np.ones(2) / 2), r"weights is float64 \(2,\)"),
        (archive(means=np.ones(3, np.float32)), r"means have the invalid shape \(3,\)"),
        (archive(means=np.full((3, 2), np.nan, np.float32)), "means should be finite"),
        (archive(scales=np.zeros((3, 2), np.float32)), "scales should be positive"),
        (archive(weights=np.array([0.5, 0.5, 0.0])), "weights should be positive"),
        (archive(weights=np.array([0.5, 0.5, 0.5])), "sum to 1.5"),
    ],
)
def test_what_is_no_mixture_is_refused(content: bytes, message: str) -> None:
    """Damage, pickles, other arrays, and values that no mixture has, each by its name."""
    with pytest.raises(ValueError, match=message):
        parse_mixture(content)
