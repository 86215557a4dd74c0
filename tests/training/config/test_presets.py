"""Presets, files and overrides are read, or told what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.config import ConvConfig, GaussianConfig, MlpConfig
from tests.training import runs
from training.config.presets import override_config, parse_config, preset_names, read_config
from training.config.run import TrainingConfig
from training.errors import ConfigError


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_are_valid(name: str) -> None:
    """Every preset that ships can be read."""
    assert isinstance(read_config(name), TrainingConfig)


def test_the_mnist_preset_trains_on_every_training_image() -> None:
    """The shipped model's preset holds nothing back and fixes its epochs."""
    config = read_config("mnist")

    assert config.data.validation_share == 0
    assert config.early_stop == 0
    assert config.binarise == "sample"
    assert isinstance(config.model.network, ConvConfig)


def test_an_unknown_key_is_named_with_its_file(tmp_path: Path) -> None:
    """A misspelt key in a preset fails with the key's path and the file's."""
    path = tmp_path / "mine.toml"
    path.write_text('[model.network]\narchitecture = "conv"\nwdths = [8, 8]\n')

    with pytest.raises(ConfigError, match=r"mine\.toml: model\.network\.wdths: unknown key"):
        read_config(str(path))


def test_every_mistake_is_named(tmp_path: Path) -> None:
    """Two mistakes in a preset make two lines."""
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 0\nseed = "x"\n')

    with pytest.raises(ConfigError) as caught:
        read_config(str(path))

    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["epochs", "seed"]


def test_broken_toml_is_named(tmp_path: Path) -> None:
    """A file that is no TOML fails with its name and the line."""
    path = tmp_path / "mine.toml"
    path.write_text("epochs = \n")

    with pytest.raises(ConfigError, match=r"mine\.toml: not TOML: .*line 1"):
        read_config(str(path))


def test_an_unknown_preset_lists_the_known(tmp_path: Path) -> None:
    """A name that is neither preset nor file fails with the presets that there are."""
    with pytest.raises(ConfigError, match=r"neither a preset.*mnist.*nor a readable TOML file"):
        read_config(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "overrides",
    [
        ("early_stop=3", "data.validation_share=0.1"),
        ("data.validation_share=0.1", "early_stop=3"),
    ],
)
def test_overrides_are_checked_together(overrides: tuple[str, str]) -> None:
    """Two settings that are right only together may come in either order."""
    config = read_config("pictures", overrides)

    assert (config.early_stop, config.data.validation_share) == (3, 0.1)
    assert override_config(read_config("pictures"), overrides) == config


def test_another_network_starts_from_its_defaults() -> None:
    """What a preset sets for its network and likelihood does not stand in the way of others."""
    config = read_config(
        "mnist", ["model.network.architecture=mlp", "model.likelihood.family=gaussian"]
    )

    assert config.model.network == MlpConfig()
    assert config.model.likelihood == GaussianConfig()
    assert config.binarise == "none"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=0", r"mnist\.toml with --set epochs=0: epochs: .*greater than 0"),
        ("optimiser.lr=1", r"mnist\.toml with --set optimiser\.lr=1: optimiser\.lr: unknown key"),
        ("model.likelihood.scale=1", r"likelihood\.scale=1: model\.likelihood\.scale: unknown key"),
        ("epochs", "write key=value"),
        ("epochs.first=3", "epochs is a value, not a section"),
        ("early_stop=3", "set data.validation_share above 0"),
        ("model.width=30", r"with --set model.width=30: model: .*divisible by 4, got 28×30"),
    ],
)
def test_wrong_overrides_are_named(override: str, message: str) -> None:
    """A wrong override fails with its own text and what would be right."""
    with pytest.raises(ConfigError, match=message):
        read_config("mnist", ["batch_size=7", override])


def test_a_mistake_of_the_preset_is_not_put_on_overrides(tmp_path: Path) -> None:
    """Only overrides of the wrong setting are named beside the preset."""
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 0\n")

    with pytest.raises(ConfigError, match=r"mine\.toml: epochs: "):
        read_config(str(path), ["batch_size=7"])


def test_a_written_configuration_reads_back(tmp_path: Path) -> None:
    """What a run writes as JSON is the same configuration when read."""
    config = runs.config(tmp_path)

    assert parse_config(config.model_dump_json().encode(), "config.json") == config
    assert override_config(config, []) == config


def test_parse_names_the_file() -> None:
    """A damaged config.json is an error that names it."""
    with pytest.raises(ConfigError, match=r"config.json: epochs: .*greater than 0"):
        parse_config(b'{"epochs": 0}', "config.json")


def test_the_default_likelihood_need_not_be_named(tmp_path: Path) -> None:
    """A preset without a likelihood takes settings of the documented default, a Gaussian."""
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 1\n")

    config = read_config(str(path), ["model.likelihood.scale=0.5", "model.network.hidden=[8]"])

    assert config.model.likelihood == GaussianConfig(scale=0.5)
    assert config.model.network == MlpConfig(hidden=(8,))


@pytest.mark.parametrize(
    "key",
    [
        "epochs", "seed", "threads", "early_stop", "data.background", "evaluation.samples",
        "bundle.version", "model.height", "model.latent_dim",
    ],
)  # fmt: skip
def test_a_truth_value_is_no_number(key: str) -> None:
    """`true` where a whole number belongs is refused and not taken as 1."""
    with pytest.raises(ConfigError, match=rf"with --set {key}=true: {key}: "):
        read_config("mnist", [f"{key}=true"])


def test_a_truth_value_is_no_number_of_layers() -> None:
    """Nor is it in a list."""
    with pytest.raises(ConfigError, match=r"model\.network\.widths\.0: .*valid integer"):
        read_config("mnist", ["model.network.widths=[true, 8]"])
