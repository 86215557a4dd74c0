"""What a run takes is known before it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import runs
from training.check.footprint import Footprint, estimate_footprint, require_memory
from training.config.run import TrainingConfig
from training.errors import ConfigError


def mlp(batch_size: int = 10, **others: object) -> TrainingConfig:
    """A network whose parts can be counted: 4 pixels, a layer of 3, a latent of 2."""
    model = {
        "height": 2, "width": 2, "latent_dim": 2,
        "network": {"architecture": "mlp", "hidden": [3]},
        "likelihood": {"family": "bernoulli", "binarise": "sample"},
    }  # fmt: skip
    return TrainingConfig.model_validate({"model": model, "batch_size": batch_size, **others})


def test_weights_are_counted_with_all_their_copies() -> None:
    """Weights, gradients, two moments, the average, and a checkpoint of four of them."""
    encoder = (4 * 3 + 3) + (3 * 4 + 4)
    decoder = (2 * 3 + 3) + (3 * 4 + 4)

    found = estimate_footprint(mlp())

    assert found.parameters == encoder + decoder
    assert found.weights == found.parameters * 4 * 9


def test_early_stopping_keeps_the_best_weights_twice() -> None:
    """In memory, and in the checkpoint."""
    stopping = mlp(early_stop=3, data={"validation_share": 0.1})

    found = estimate_footprint(stopping)

    assert found.weights == found.parameters * 4 * 11


def test_activations_grow_with_the_minibatch_and_its_draws() -> None:
    """Twice the images keep twice as much, several draws of each more, bfloat16 less."""
    one = estimate_footprint(mlp(100)).activations

    assert estimate_footprint(mlp(200)).activations == pytest.approx(2 * one, rel=0.01)
    assert estimate_footprint(mlp(100, objective={"samples": 4})).activations > 2 * one
    assert estimate_footprint(mlp(100), bfloat16=True).activations < one
    assert one > 100 * (3 + 3 + 4) * 4


def test_nothing_is_taken_to_know_it() -> None:
    """A network that no machine could hold is counted."""
    huge = mlp(10**6).model_copy(
        update={"model": mlp().model.model_copy(update={"height": 10**4, "width": 10**4})}
    )

    assert estimate_footprint(huge, images=7).total > 10**14


@pytest.mark.parametrize(
    ("available", "words"),
    [
        (1000, r"about 1100 MiB|about 1.1 GiB.*1000 MiB are free on cpu: set batch_size = 64 "),
        (100, r"100 MiB are free on cpu: lower model\.height and model\.width"),
    ],
)
def test_a_run_that_does_not_fit_is_told_what_to_lower(available: int, words: str) -> None:
    """The parts are named, and the batch size that would fit, if one does."""
    mib = 2**20
    footprint = Footprint(parameters=1, weights=100 * mib, activations=1000 * mib, images=0)

    with pytest.raises(ConfigError, match=words):
        require_memory(mlp(128), footprint, available * mib)


def test_a_run_that_fits_is_let_through() -> None:
    """Memory that is just enough is enough."""
    footprint = Footprint(parameters=1, weights=5, activations=6, images=7)

    require_memory(mlp(), footprint, 18)
    with pytest.raises(ConfigError):
        require_memory(mlp(), footprint, 17)


def test_fit_refuses_before_it_starts(tmp_path: Path) -> None:
    """A preset that can't fit leaves no workdir behind, and says so in one sentence."""
    from training.fit.fit import fit

    config = runs.config(tmp_path, f"batch_size={10**9}")

    with pytest.raises(ConfigError, match=r"this run would take about .*: set batch_size = \d+ "):
        fit(config, tmp_path / "run", console=runs.QUIET)

    assert not (tmp_path / "run").exists()


def test_networks_of_ones_own_count_too(tmp_path: Path) -> None:
    """Their weights and activations are those of any other."""
    found = estimate_footprint(runs.custom_config(tmp_path, "batch_size=2"))

    assert found.parameters == 784 * 6 + 6 + 6 * 16 + 16 + 8 * 784 + 784
    assert found.activations > 2 * 784 * 4
