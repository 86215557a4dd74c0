"""A sweep's TOML file: what its trials have in common, what varies, and how it is searched."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from model.config import Frozen, PositiveInt
from training.config.overrides import Override, describe_errors, flatten
from training.config.presets import read_config
from training.config.run import TrainingConfig
from training.config.sections import Seed
from training.errors import ConfigError

Settings = Mapping[str, object]
"""Values by dotted key; `preset` is one of the keys."""

_SOURCES = ("data.source", "data.cache", "data.id", "data.licence")
"""Where images lie: of a machine, not of a sweep."""


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
        for is_wrong, text in (
            (self.low >= self.high, f"low must be below high, not {self.low} and {self.high}"),
            (self.log and self.low <= 0, f"log = true needs low above 0, not {self.low}"),
            (self.step and (self.log or not self.whole), "step requires integers and log = false"),
        ):
            if is_wrong:
                raise ValueError(text)
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
    """The maximised value: the bound of the exported weights, or of the best epoch."""
    pruning: Literal["none", "median"] = "none"
    """`median` stops a trial that is worse than the median of earlier ones at the same epoch."""
    pruning_warmup: Annotated[int, Field(ge=0, strict=True)] = 5
    """Epochs, and trials, that are never stopped."""
    set: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of all trials."""
    vary: dict[str, JsonValue] = Field(default_factory=dict)
    """Lists of choices and ranges, by setting."""
    runs: tuple[dict[str, JsonValue], ...] = ()
    """The trials one by one, each with its settings."""

    @model_validator(mode="after")
    def _varies_something(self) -> Self:
        if bool(self.vary) is bool(self.runs):
            msg = "nothing varies: write either settings in [vary], or trials as [[runs]]"
            raise ValueError(msg)
        ranges = [key for key, one in self.variations().items() if isinstance(one, Range)]
        if self.search == "grid" and ranges:
            raise ValueError(
                f'a grid needs lists of choices, not ranges: {", ".join(ranges)}; or search = "tpe"'
            )
        return self

    def variations(self) -> dict[str, Range | list[object]]:
        """What varies, by dotted key; empty if the trials are listed one by one."""
        flat = flatten(self.vary, is_leaf=lambda table: "low" in table or "high" in table)
        return {key: _variation(key, value) for key, value in flat.items()}

    def all_trials(self) -> list[Settings]:
        """The varied settings of every trial if they are known in advance; else empty."""
        if self.runs:
            return [flatten(one) for one in self.runs]
        if self.search != "grid":
            return []
        choices = self.variations()
        combinations = itertools.product(*choices.values())
        return [dict(zip(choices, values, strict=True)) for values in combinations]

    def identity(self, overrides: Sequence[Override]) -> dict[str, object]:
        """The settings that must not change when a sweep continues; `trials` may grow."""
        given = {one.key: one.value for one in overrides if one.key not in _SOURCES}
        return {**self.model_dump(mode="json", exclude={"trials"}), "overrides": given}

    def config(self, varied: Settings, overrides: Sequence[str | Override]) -> TrainingConfig:
        """The configuration of a trial; errors as for `read_config`."""
        preset, settings = self._merged(varied)
        return read_config(preset, [*_overrides(settings), *overrides])

    def command(self, varied: Settings, overrides: Sequence[Override] = ()) -> list[str]:
        """The arguments of `vaetrain run` for a trial's settings."""
        preset, settings = self._merged(varied)
        if not settings.get("early_stop"):
            # The run for good has all images to train on, and may be tuned.
            settings.pop("data.validation_share", None)
            settings.pop("tuning.epochs", None)
        settings.update({one.key: one.value for one in overrides})
        return [preset, *(part for one in _overrides(settings) for part in one.text.split(" ", 1))]

    def _merged(self, varied: Settings) -> tuple[str, dict[str, object]]:
        settings = {"preset": self.preset, **flatten(self.set), **varied}
        preset = settings.pop("preset")
        if not isinstance(preset, str):
            raise ConfigError('a sweep needs a preset: preset = "mnist", for example')
        return preset, settings


def read_sweep(path: Path) -> Sweep:
    """Reads a sweep's file.

    Raises:
        ConfigError: it can't be read or is invalid.
    """
    try:
        return Sweep.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML file: {error}") from error
    except ValidationError as error:
        raise ConfigError(describe_errors(error, str(path), Sweep)) from error


def require_comparable(sweep: Sweep, overrides: Sequence[Override]) -> TrainingConfig:
    """Reads the configuration of each choice and each range's ends, and returns the first.

    Raises:
        ConfigError: one is invalid; the command line sets what varies; no validation images are
            held back, training ends with another objective, or the bounds of two trials would
            not be of the same images.
    """
    samples = list(_samples(sweep))
    varied = {key for settings in samples for key in settings}
    if both := sorted(one.key for one in overrides if one.key in varied):
        msg = f"{', '.join(both)}: set on the command line and varied by the sweep; leave one out"
        raise ConfigError(msg)
    configs = [sweep.config(settings, overrides) for settings in samples]
    for settings, config in zip(samples, configs, strict=True):
        first, other = (_measured(one) for one in (configs[0], config))
        differing = [key for key in first if first[key] != other.get(key)]
        what = ", ".join(f"{key} = {value!r}" for key, value in settings.items())
        for is_wrong, text in (
            (
                not config.data.validation_share,
                "a sweep compares validation bounds, but no images are held back: write "
                "data.validation_share = 0.1 below [set]",
            ),
            (
                config.tuning.epochs,
                "a sweep compares ELBOs, which tuning lowers: "
                "write tuning.epochs = 0 below [set], and tune the best trial afterwards",
            ),
            (
                differing,
                f"the trial with {what} would be measured on different images than the first: "
                f"{', '.join(differing)} must be the same in all trials",
            ),
        ):
            if is_wrong:
                raise ConfigError(text)
    return configs[0]


def _samples(sweep: Sweep) -> Iterator[Settings]:
    """Settings in which each choice, and each end of a range, is there at least once."""
    if known := sweep.all_trials():
        yield from known
        return
    choices = {
        key: [one.low, one.high] if isinstance(one, Range) else one
        for key, one in sweep.variations().items()
    }
    for number in range(max(map(len, choices.values()))):
        yield {key: values[min(number, len(values) - 1)] for key, values in choices.items()}


def _measured(config: TrainingConfig) -> dict[str, object]:
    """The settings that decide whose density or probability a validation bound is."""
    likelihood = {"family": config.model.likelihood.family, "binarise": config.binarise}
    model = config.model.model_dump(include={"channels", "height", "width"})
    # Validation images are not augmented.
    data = config.data.model_dump(exclude={"augment"})
    return flatten({"data": data, "model": {**model, "likelihood": likelihood}})


def _variation(key: str, value: object) -> Range | list[object]:
    try:
        return value if value and isinstance(value, list) else Range.model_validate(value)
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"vary.{key}: {what}; write a list of choices, or a range such as "
            "{ low = 1e-4, high = 1e-2, log = true }"
        ) from error


def _overrides(settings: Settings) -> list[Override]:
    return [
        Override(key, value, f"--set {key}={json.dumps(value)}") for key, value in settings.items()
    ]
