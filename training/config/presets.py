"""Reads configurations: shipped presets, custom files, and what a run wrote."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.bundle.sources import SourceError, locate
from model.config import CustomConfig
from training.config.overrides import Override, apply_overrides, describe_errors, parse_override
from training.config.run import TrainingConfig
from training.errors import ConfigError


def preset_names() -> list[str]:
    """The presets that ship with the package."""
    folder = resources.files("training") / "presets"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_config(preset: str, overrides: Sequence[str | Override] = ()) -> TrainingConfig:
    """Reads a shipped preset by name, or a TOML file by path, and applies `key=value` texts.

    All texts are applied before anything is checked, so their order matters only if two set the
    same key. Values are TOML; anything that is not valid TOML is text.

    Raises:
        ConfigError: no such preset, broken TOML, an unknown key or a value out of range.
    """
    name, text = _preset_text(preset)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    config = _override(document, overrides, name)
    network = config.model.network
    if not isinstance(network, CustomConfig):
        return config
    try:
        located = locate(network, dict.fromkeys((Path(preset).parent, Path())))
    except SourceError as error:
        raise ConfigError(str(error)) from error
    model = config.model.model_copy(update={"network": located})
    return config.model_copy(update={"model": model})


def override_config(config: TrainingConfig, overrides: Sequence[str | Override]) -> TrainingConfig:
    """The same configuration with `key=value` texts applied; errors as for `read_config`."""
    return _override(config.model_dump(mode="json"), overrides, "the run's settings")


def parse_config(content: bytes, name: str) -> TrainingConfig:
    """Reads a configuration that a run wrote as JSON; `name` is the file's, for errors."""
    try:
        return TrainingConfig.model_validate_json(content)
    except ValidationError as error:
        raise ConfigError(describe_errors(error, name, TrainingConfig)) from error


def _preset_text(preset: str) -> tuple[str, str]:
    if preset in preset_names():
        shipped = resources.files("training") / "presets" / f"{preset}.toml"
        return f"presets/{preset}.toml", shipped.read_text("utf-8")
    path = Path(preset)
    try:
        return str(path), path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(preset_names())
        msg = f"{preset!r} is neither a preset ({known}) nor a readable TOML file: {error}"
        raise ConfigError(msg) from error


def _override(
    document: dict[str, Any], overrides: Sequence[str | Override], name: str
) -> TrainingConfig:
    parsed = [parse_override(one) if isinstance(one, str) else one for one in overrides]
    apply_overrides(document, parsed)
    try:
        return TrainingConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(describe_errors(error, name, TrainingConfig, parsed)) from error
