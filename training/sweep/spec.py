"""A sweep's TOML file: what its trials have in common, what varies, and how it is searched."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from model.config import Frozen, PositiveInt
from training.config.overrides import Override, describe_errors, flatten
from training.config.presets import read_config
from training.config.run import TrainingConfig
from training.config.sections import Seed
from training.errors import ConfigError

Settings = Mapping[str, object]
"""Values by dotted key; `preset` is one of the keys."""


class Range(Frozen):
    """Numbers between two ends, both included."""

    low: float | int
    high: float | int
    log: bool = False
    """Whether the search is uniform in the logarithm."""
    step: Annotated[int, Field(gt=0, strict=True)] | None = None
    """Between two whole numbers."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant: both ends are."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        if self.low >= self.high:
            msg = f"low must be below high, not {self.low} and {self.high}"
            raise ValueError(msg)
        if self.log and self.low <= 0:
            msg = f"log = true needs low above 0, not {self.low}"
            raise ValueError(msg)
        if self.step and (self.log or not self.whole):
            msg = "step is for whole numbers without log"
            raise ValueError(msg)
        return self


class Sweep(Frozen):
    """Everything that decides which trials a sweep makes.

    Raises:
        pydantic.ValidationError: an unknown key, or settings that exclude each other.
    """

    preset: str | None = None
    """A preset's name or file, of all trials that don't vary it."""
    search: Literal["tpe", "random", "grid"] = "tpe"
    """`tpe` learns from the trials before (Bergstra et al. 2011), `grid` makes all combinations."""
    trials: PositiveInt = 20
    """How many, for `tpe` and `random`."""
    seed: Seed = 0
    objective: Literal["validation_elbo", "best_validation_elbo"] = "validation_elbo"
    """What is made high: the bound of the weights that are exported, or of the best epoch."""
    pruning: Literal["none", "median"] = "none"
    """`median` stops a trial that is worse than half of those before were at the same epoch."""
    pruning_warmup: Annotated[int, Field(ge=0, strict=True)] = 5
    """Epochs, and trials, that are never stopped."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings of all trials."""
    vary: dict[str, Any] = Field(default_factory=dict)
    """Lists of choices and ranges, by setting."""
    runs: tuple[dict[str, Any], ...] = ()
    """The trials one by one, each with settings of its own."""

    @model_validator(mode="after")
    def _varies_something(self) -> Self:
        if bool(self.vary) is bool(self.runs):
            msg = "say what varies: either settings in [vary], or trials as [[runs]]"
            raise ValueError(msg)
        variations = self.variations()
        if self.search == "grid" and (
            ranges := [key for key, one in variations.items() if isinstance(one, Range)]
        ):
            msg = f'a grid needs lists of choices: {", ".join(ranges)}, or search = "tpe"'
            raise ValueError(msg)
        return self

    def variations(self) -> dict[str, Range | list[object]]:
        """What varies, by dotted key; empty where the trials are given one by one."""
        flat = flatten(self.vary, is_leaf=_is_range)
        return {key: _variation(key, value) for key, value in flat.items()}

    def all_trials(self) -> list[Settings]:
        """The varied settings of every trial where they are known before; else none."""
        if self.runs:
            return [flatten(one) for one in self.runs]
        if self.search != "grid":
            return []
        lists = {key: one for key, one in self.variations().items() if isinstance(one, list)}
        return [
            dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())
        ]

    def config(self, varied: Settings, overrides: Sequence[str | Override]) -> TrainingConfig:
        """The configuration of a trial; errors as for `read_config`."""
        settings = {**flatten(self.set), **varied}
        preset = settings.pop("preset", self.preset)
        if not isinstance(preset, str):
            msg = 'a sweep needs a preset: preset = "mnist", for example'
            raise ConfigError(msg)
        return read_config(preset, [*_overrides(settings), *overrides])

    def command(self, varied: Settings) -> list[str]:
        """What `vaetrain` is to be given for a run with a trial's settings."""
        settings = {**flatten(self.set), **varied}
        preset = str(settings.pop("preset", self.preset))
        if not settings.get("early_stop"):
            # The run for good has all images to train on, and may be tuned.
            settings.pop("data.validation_share", None)
            settings.pop("tuning.epochs", None)
        return [preset, *(part for one in _overrides(settings) for part in one.text.split(" ", 1))]


def read_sweep(path: Path) -> Sweep:
    """Reads a sweep's file.

    Raises:
        ConfigError: it can't be read, or says what no sweep can do.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: not a TOML file that can be read: {error}"
        raise ConfigError(msg) from error
    for key, value in flatten(document).items():
        if dated := _date(value):
            msg = f"{path}: {key}: {dated} is a date or time, which no setting is; quote a text"
            raise ConfigError(msg)
    try:
        return Sweep.model_validate(document)
    except ValidationError as error:
        raise ConfigError(describe_errors(error, str(path), Sweep)) from error


def _date(value: object) -> date | time | None:
    """The first date or time in a value of TOML, whose lists hold tables too."""
    if isinstance(value, date | time):
        return value
    if not isinstance(value, dict | list):
        return None
    inner = value.values() if isinstance(value, dict) else value
    return next((found for one in inner if (found := _date(one))), None)


def _variation(key: str, value: object) -> Range | list[object]:
    if isinstance(value, list):
        if not value:
            msg = f"vary.{key}: an empty list leaves nothing to choose"
            raise ValueError(msg)
        return value
    try:
        return Range.model_validate(value)
    except ValidationError as error:
        entry = error.errors()[0]
        what = entry["msg"].removeprefix("Value error, ")
        msg = (
            f"vary.{key}: {what}; write a list of choices, or a range such as "
            "{ low = 1e-4, high = 1e-2, log = true }"
        )
        raise ValueError(msg) from error


def _is_range(table: Mapping[str, Any]) -> bool:
    return not table.keys().isdisjoint(("low", "high"))


def _overrides(settings: Settings) -> list[Override]:
    return [
        Override(key, value, f"--set {key}={json.dumps(value)}") for key, value in settings.items()
    ]
