"""What excludes each other, and what a run's identity is."""

from __future__ import annotations

import pytest

from model.bundle.manifest import InputSpec
from model.config import MixturePriorConfig, NormalPriorConfig
from training.config.presets import override_config, read_config
from training.config.run import TrainingConfig
from training.errors import ConfigError

OPTIMAL = ("model.likelihood.family=gaussian", "model.likelihood.scale=optimal")


def test_identity_is_what_decides_the_weights() -> None:
    """Where images lie, what is saved how often and a bundle's name are not part of it."""
    config = read_config("mnist")
    same = override_config(
        config,
        [
            "data.source=elsewhere", "data.cache=there", "bundle.version=2",
            "evaluation.samples=1", "checkpoint_steps=7", "sample_epochs=1",
        ],
    )  # fmt: skip
    other = override_config(config, ["model.latent_dim=3"])

    assert same.identity() == config.identity()
    assert other.identity() != config.identity()
    assert other.identity()["model.latent_dim"] == 3


@pytest.mark.parametrize(("channels", "order"), [(1, "L"), (3, "RGB")])
def test_the_input_follows_from_the_model(channels: int, order: str) -> None:
    """The manifest's input and the likelihood's binarisation follow from the model's settings."""
    config = TrainingConfig.model_validate(
        {"model": {"channels": channels}, "data": {"background": 255}}
    )

    assert config.input == InputSpec.model_validate(
        {"channels": channels, "height": 28, "width": 28, "order": order}
    )
    assert config.preprocessing.background == 255
    assert config.binarise == "none"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["objective.samples=5", "objective.beta=2", "tuning.epochs=0"],
            "samples = 5: importance weights bound .* objective.beta = 1; .* objective.samples = 1",
        ),
        (
            [
                "objective.samples=5",
                "objective.gradient=total",
                "objective.free_bits=0.1",
                "tuning.epochs=2",
            ],
            r"samples = 5 and tuning\.epochs = 2: .* only with objective.free_bits = 0; ",
        ),
        (["objective.gradient=path", "objective.free_bits=0.1"], "closed form"),
        (
            [
                "objective.free_bits=0.1",
                "objective.gradient=total",
                "tuning.epochs=0",
                "model.prior.family=mixture",
            ],
            "a mixture prior does not have: set it to 0, or model.prior.family = normal",
        ),
        (["tuning.epochs=1", "objective.beta=2"], "objective.beta = 1"),
        (["tuning.epochs=1", "early_stop=2", "data.validation_share=0.1"], "early_stop watches"),
        (["tuning.samples=1"], "greater than or equal to 2"),
        ([*OPTIMAL, "objective.samples=5"], r"or objective\.samples = 1"),
        (
            [*OPTIMAL, "tuning.epochs=1"],
            'only with model.likelihood.scale = "learned" or a number; ',
        ),
    ],
)
def test_objectives_that_bound_nothing_are_refused(overrides: list[str], message: str) -> None:
    """Importance weights need β = 1, the closed KL's absence and a scale that does not follow from
    the batch; each refusal says what to set."""
    with pytest.raises(ConfigError, match=message):
        read_config("mnist", overrides)


def test_the_prior_is_the_standard_normal_unless_it_is_named() -> None:
    """Components belong to a mixture, which has 64 of them unless they are counted."""
    assert read_config("mnist").model.prior == NormalPriorConfig()
    named = read_config("mnist", ["model.prior.family=mixture"])
    counted = read_config("mnist", ["model.prior.components=8", "model.prior.family=mixture"])

    assert named.model.prior == MixturePriorConfig(family="mixture", components=64)
    assert counted.identity()["model.prior.components"] == 8
    with pytest.raises(ConfigError, match=r"model\.prior\.components: unknown key"):
        read_config("mnist", ["model.prior.components=8"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("epocs=1", r"epocs: unknown key; did you mean epochs\?"),
        ("optimiser.learning_rat=1", r"unknown key; did you mean learning_rate\?"),
        ("model.network.hiden=[1]", r"unknown key; did you mean hidden\?"),
        ("zzz=1", "zzz: unknown key$"),
        ("batch_size=100000000000000000000", "batch_size: .*less than or equal to 2147483647"),
    ],
)
def test_mistakes_say_what_may_have_been_meant(override: str, told: str) -> None:
    """A misspelt key is told with the nearest one of its section, a number with its bound."""
    with pytest.raises(ConfigError, match=told):
        read_config("mnist", [override, "model.network.architecture=mlp"])
