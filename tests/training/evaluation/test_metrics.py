"""A model's figures are means over images, with how they were measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.config.run import TrainingConfig
from training.evaluation.metrics import Measured, to_metrics

GAUSSIAN = TrainingConfig.model_validate(
    {"model": {"height": 2, "width": 1, "latent_dim": 2, "likelihood": {"family": "gaussian"}}}
)


def measured(**changes: object) -> Measured:
    members: dict[str, object] = {
        "mean": np.array([[0.0, 1.0], [0.0, -1.0]], np.float32),
        "logvar": np.zeros((2, 2), np.float32),
        "bound": np.array([-3.0, -5.0]),
        "log_likelihood": np.array([-4.0, -6.0]),
        "kl": np.array([0.5, 0.5]),
        "squared_error": np.array([0.5, 1.5]),
    }
    return Measured(**(members | changes))  # type: ignore[arg-type]


def test_metrics_are_means_with_their_errors() -> None:
    """Each figure is the mean over images, its standard error beside it, with K and seeds."""
    metrics = to_metrics(measured(), GAUSSIAN, "abc")

    assert metrics["bound"].value == -4.0
    assert metrics["bound"].standard_error == pytest.approx(1.0)
    assert (metrics["bound"].n, metrics["bound"].samples) == (2, 500)
    assert metrics["bound"].seeds == {"importance": 20152}
    assert metrics["kl"].value == pytest.approx(0.5)
    assert metrics["elbo"].value == pytest.approx(-5.5)
    assert metrics["active_units"].value == 1
    assert metrics["mean_squared_error"].value == pytest.approx(0.5)
    assert metrics["nats_per_dimension"].value == pytest.approx(2.0)
    assert "bits_per_dimension" not in metrics


def test_a_logistic_reports_bits_per_dimension() -> None:
    """Grey levels have a probability, and bits; there is nothing binarised about them."""
    config = TrainingConfig.model_validate(
        {"model": {"height": 2, "width": 1, "likelihood": {"family": "logistic"}}}
    )

    metrics = to_metrics(measured(), config, "abc")

    assert metrics["bits_per_dimension"].value == pytest.approx(4.0 / (2 * math.log(2)))
    assert "nats_per_dimension" not in metrics
    assert metrics["bound"].seeds == {"importance": 20152}


def test_bits_per_dimension_are_for_discrete_likelihoods() -> None:
    """A Bernoulli model reports bits per dimension, and never a density."""
    config = TrainingConfig.model_validate(
        {
            "model": {
                "height": 2,
                "width": 1,
                "likelihood": {"family": "bernoulli", "binarise": "sample"},
            }
        }
    )

    metrics = to_metrics(measured(), config, "abc")

    assert metrics["bits_per_dimension"].value == pytest.approx(4.0 / (2 * math.log(2)))
    assert "nats_per_dimension" not in metrics
    assert metrics["bound"].seeds == {"importance": 20152, "binarise": 20151}
    assert metrics["kl"].seeds == metrics["active_units"].seeds == {"binarise": 20151}
    assert "abc" in (metrics["bound"].note or "")


def test_one_image_has_no_standard_error() -> None:
    """A single image is measured, without an error that can't be known."""
    single = measured(
        mean=np.zeros((1, 2), np.float32),
        logvar=np.zeros((1, 2), np.float32),
        bound=np.array([-3.0]),
        log_likelihood=np.array([-4.0]),
        squared_error=np.array([0.5]),
    )

    assert to_metrics(single, GAUSSIAN, "abc")["bound"].standard_error is None


def test_the_kl_from_a_mixture_is_told_as_an_estimate() -> None:
    """It has the samples and seeds that it was drawn with."""
    prior = {"family": "mixture", "components": 2}
    whole = GAUSSIAN.model_dump(mode="json")
    config = TrainingConfig.model_validate(whole | {"model": whole["model"] | {"prior": prior}})

    kl = to_metrics(measured(), config, "abc")["kl"]

    assert (kl.value, kl.samples, kl.seeds) == (0.5, 500, {"importance": 20152})
    assert kl.note is not None
    assert "estimated" in kl.note
