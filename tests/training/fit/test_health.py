"""What the figures of an epoch give to worry about, and what to do then."""

from __future__ import annotations

import dataclasses

import pytest

from training.config.run import TrainingConfig
from training.fit.health import Health, diverged, examine, not_finite
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
    (finding,) = examine(figures(kl, active), warmed_up=True)

    assert finding.code == code
    assert f"{active} of 20 latent dimensions" in finding.text
    assert "objective.kl_warmup" in finding.text
    assert "objective.free_bits" in finding.text


@pytest.mark.parametrize("active", [0, 1])
def test_free_bits_are_no_advice_for_a_mixture(active: int) -> None:
    """Its KL comes whole, so a setting that bounds that of each dimension is not named."""
    of_mixture = dataclasses.replace(figures((1.0,) * 20, active), kl_per_dimension=())

    (finding,) = examine(of_mixture, warmed_up=True)

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
