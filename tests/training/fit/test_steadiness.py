"""A loss that jumps and stays is told from one that wavers or falls."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.fit.health import DivergenceDetector

DIMENSIONS = 784


def after(losses: list[float], share: float = 1.0) -> DivergenceDetector:
    steadiness = DivergenceDetector()
    for loss in losses:
        steadiness.add(loss, share, DIMENSIONS)
    return steadiness


def falling(steps: int, seed: int = 0, noise: float = 2.0) -> list[float]:
    """Losses like those of a run on binarised digits: from 544 to 90, and noise."""
    rng = random.Random(seed)  # noqa: S311
    return [90 + 454 * math.exp(-step / 100) + rng.gauss(0, noise) for step in range(steps)]


@given(seed=st.integers(0, 1000), noise=st.floats(0.1, 20))
def test_a_falling_noisy_loss_is_steady(seed: int, noise: float) -> None:
    """However much the loss wavers, it stays in the range that it has shown."""
    steadiness = DivergenceDetector()
    for loss in falling(600, seed, noise):
        steadiness.add(loss, 1.0, DIMENSIONS)
        assert steadiness.is_steady


@pytest.mark.parametrize("level", [206.0, 1e3, 1e30])
def test_a_jump_that_stays_has_diverged(level: float) -> None:
    """A loss back at what the mean image costs, or above, is beyond the range for good."""
    steadiness = after([*falling(2000), *[level] * 499])
    assert not steadiness.is_steady
    assert not steadiness.has_diverged(100_000)

    steadiness.add(level, 1.0, DIMENSIONS)

    assert steadiness.has_diverged(100_000)


def test_a_short_run_is_lost_sooner() -> None:
    """A tenth of the steps is enough."""
    assert after([*falling(500), *[1e3] * 60]).has_diverged(600)
    assert not after([*falling(500), *[1e3] * 59]).has_diverged(600)


def test_a_spike_is_forgotten() -> None:
    """A jump that comes back leaves the range as it was, and one odd minibatch is noise."""
    before = after(falling(1000))
    spiked = after([*falling(1000), 1e6])
    assert (spiked.mean, spiked.deviation) == (before.mean, before.deviation)
    assert not spiked.is_steady
    assert spiked.is_noise

    spiked.add(90.0, 1.0, DIMENSIONS)

    assert spiked.is_steady


def test_a_rising_kl_weight_is_no_jump() -> None:
    """The loss may rise by the whole KL within some hundred steps, as its weight does."""
    losses = [loss - 25 for loss in falling(500)]
    losses += [65 + 25 * step / 200 for step in range(200)] + [90.0] * 600

    steadiness = DivergenceDetector()
    for loss in losses:
        steadiness.add(loss, 1.0, DIMENSIONS)
        assert steadiness.is_steady


def test_an_explosion_from_the_start_is_one() -> None:
    """A loss that leaves for the heights at once is beyond the range too."""
    assert after([544.0, *[1e6] * 50]).has_diverged(500)


def test_a_small_minibatch_may_waver_more() -> None:
    """The last minibatch of an epoch may hold one image: 50 nats more are then no jump."""
    steadiness = after(falling(2000))
    steadiness.add(140.0, 1 / 128, DIMENSIONS)
    assert steadiness.is_steady

    steadiness.add(140.0, 1.0, DIMENSIONS)

    assert not steadiness.is_steady


def test_a_density_may_be_negative() -> None:
    """The losses of a Gaussian likelihood fall below 0, and a jump from there is seen."""
    losses = [loss - 3000 for loss in falling(1000)]

    assert after(losses).is_steady
    assert not after([*losses, -1000.0]).is_steady
