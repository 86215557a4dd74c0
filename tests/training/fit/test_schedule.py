"""Every schedule is a function of the step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.run import TrainingConfig
from training.config.sections import ObjectiveConfig, OptimiserConfig, TuningConfig
from training.fit.schedule import Schedule, beta, ema_decay, learning_rate

OPTIMISER = OptimiserConfig(learning_rate=2.0, warmup_steps=10, final_share=0.1)


def test_learning_rate_rises_then_falls() -> None:
    """Linear up over the warm-up, then half a cosine down to the final share."""
    assert learning_rate(OPTIMISER, 0, 110) == pytest.approx(0.2)
    assert learning_rate(OPTIMISER, 9, 110) == pytest.approx(2.0)
    assert learning_rate(OPTIMISER, 60, 110) == pytest.approx(1.1)
    assert learning_rate(OPTIMISER, 110, 110) == pytest.approx(0.2)


@given(step=st.integers(0, 999), total=st.integers(1, 1000), warmup=st.integers(0, 2000))
def test_learning_rate_is_positive_and_bounded(step: int, total: int, warmup: int) -> None:
    """No run, however short, takes a step of no or of too large a size."""
    config = OptimiserConfig(learning_rate=2.0, warmup_steps=warmup)

    assert 0 < learning_rate(config, min(step, total - 1), total) <= 2.0


def test_beta_rises_to_its_value() -> None:
    """The KL's weight rises from its start over the warm-up and stays."""
    config = ObjectiveConfig(beta=2.0, kl_start=0.1, kl_warmup=0.5)

    assert beta(config, 0, 100) == pytest.approx(0.2)
    assert beta(config, 25, 100) == pytest.approx(1.1)
    assert beta(config, 50, 100) == beta(config, 99, 100) == pytest.approx(2.0)


def test_no_kl_warmup() -> None:
    """Without a warm-up, β has its value from the first step on."""
    assert beta(ObjectiveConfig(kl_warmup=0), 0, 100) == 1.0


def test_the_average_forgets_the_untrained_weights() -> None:
    """The average's decay starts low and reaches its limit; a limit of 0 is no average."""
    assert ema_decay(0.999, 0) == pytest.approx(0.1)
    assert ema_decay(0.999, 100_000) == 0.999
    assert ema_decay(0.0, 50) == 0.0


TUNED = Schedule(
    TrainingConfig(
        epochs=10,
        optimiser=OPTIMISER,
        objective=ObjectiveConfig(kl_warmup=0.5),
        tuning=TuningConfig(epochs=4, samples=6, learning_rate=0.5),
    ),
    steps_per_epoch=11,
)


def test_tuning_follows_the_other_epochs() -> None:
    """Its steps come on top, with a number of draws of their own."""
    assert (TUNED.fitting_steps, TUNED.total_steps) == (110, 154)
    assert [TUNED.is_tuning(step) for step in (0, 109, 110, 153)] == [False, False, True, True]
    assert [TUNED.samples(step) for step in (109, 110)] == [1, 6]


def test_tuning_leaves_the_schedules_before_it_alone() -> None:
    """Until tuning starts, rate and β are those of a run without it."""
    plain = Schedule(TUNED.config.model_copy(update={"tuning": TuningConfig()}), 11)

    for step in range(110):
        assert TUNED.learning_rate(step) == plain.learning_rate(step)
        assert TUNED.beta(step) == plain.beta(step)


def test_tuning_has_a_cosine_of_its_own() -> None:
    """It starts at its own rate, halves it half-way and never stands still; β stays 1."""
    assert TUNED.learning_rate(110) == pytest.approx(0.5)
    assert TUNED.learning_rate(132) == pytest.approx(0.25)
    assert 0 < TUNED.learning_rate(153) < 0.001
    assert TUNED.beta(110) == 1
