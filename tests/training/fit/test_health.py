"""Warnings about an epoch, losses that jump and stay, and the norms of gradients."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.run import TrainingConfig
from training.fit.health import (
    DivergenceDetector,
    GradientNorms,
    Health,
    diverged,
    examine,
    not_finite,
)
from training.fit.running_sums import EpochMetrics


def figures(kl: tuple[float, ...], active: int) -> EpochMetrics:
    return EpochMetrics(
        elbo=-200.0,
        log_likelihood=-200.0,
        kl=sum(kl),
        kl_per_dimension=kl,
        active_units=active,
        dimensions=len(kl),
    )


@pytest.mark.parametrize(
    ("kl", "active", "code"),
    [
        ((0.0,) * 20, 0, "collapse"),
        ((5.0,) * 20, 0, "collapse"),  # the same posterior for every image
        ((0.002,) * 20, 3, "collapse"),
        ((2.0,) + (0.0,) * 19, 1, "few active units"),
    ],
)
def test_a_collapse_is_warned_about(kl: tuple[float, ...], active: int, code: str) -> None:
    """No or few active dimensions, or next to no KL, are told with the settings to change."""
    finding = examine(figures(kl, active), warmed_up=True)

    assert finding is not None
    assert finding.code == code
    assert f"{active} of 20 latent dimensions" in finding.text
    assert "objective.kl_warmup" in finding.text
    assert "objective.free_bits" in finding.text


@pytest.mark.parametrize("active", [0, 1])
def test_free_bits_are_no_advice_for_a_mixture(active: int) -> None:
    """Its KL comes whole, so a setting that bounds that of each dimension is not named."""
    of_mixture = dataclasses.replace(figures((1.0,) * 20, active), kl_per_dimension=())

    finding = examine(of_mixture, warmed_up=True)

    assert finding is not None
    assert f"{active} of 20 latent dimensions" in finding.text
    assert "objective.kl_warmup, or " in finding.text
    assert "free_bits" not in finding.text


def test_a_healthy_latent_is_none_to_warn_about() -> None:
    """Where a tenth of the dimensions is active nothing is said, nor before the warm-up's end."""
    assert not examine(figures((2.0,) * 20, 2), warmed_up=True)
    assert not examine(figures((2.0,), 1), warmed_up=True)
    assert not examine(figures((0.0,) * 20, 0), warmed_up=False)


def test_health_continues_from_its_state() -> None:
    """What was saved and loaded goes on as if nothing had happened."""
    config = TrainingConfig()
    straight, resumed = Health(), Health()
    straight.add(540.0, 300.0, 128, config)
    resumed.load(straight.state())
    for health in (straight, resumed):
        health.add(500.0, 100.0, 128, config)

    assert resumed.state() == straight.state()
    assert straight.gradients.clipped_share == 0.5


def test_an_epoch_forgets_its_gradients_and_keeps_the_range() -> None:
    """Norms are those of one epoch; the loss's range is that of the run."""
    health = Health()
    health.add(540.0, 300.0, 128, TrainingConfig())

    health.reset()

    assert health.gradients.steps == 0
    assert health.detector.mean == 540.0


def test_endings_say_what_to_lower() -> None:
    """Both sentences name the step, the checkpoint and the settings."""
    health = Health()
    health.add(540.0, 300.0, 128, TrainingConfig())
    kept = "the last good checkpoint, of step 3, is kept"
    for error in (diverged(7, health, kept), not_finite(7, "the loss is nan", kept)):
        assert str(error).startswith("step 7: the loss")
        assert kept in str(error)
        assert "lower optimiser.learning_rate" in str(error).lower()


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


NORMS = st.lists(st.floats(0, 1e6), min_size=1, max_size=20)


@given(NORMS)
def test_mean_largest_and_clipped(norms: list[float]) -> None:
    """The figures are those of the norms that were added."""
    gradients = GradientNorms()
    for norm in norms:
        gradients.add(norm, 200.0)

    assert gradients.mean == pytest.approx(sum(norms) / len(norms))
    assert gradients.largest == max(norms)
    assert gradients.clipped_share == sum(norm > 200 for norm in norms) / len(norms)


def test_nothing_is_nothing() -> None:
    """Before the first step the figures are 0."""
    assert (GradientNorms().mean, GradientNorms().clipped_share) == (0.0, 0.0)
