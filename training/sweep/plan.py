"""Whether a sweep's trials can be compared, said before the first of them begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.config.overrides import Override, flatten
from training.config.run import TrainingConfig
from training.errors import ConfigError
from training.sweep.spec import Range, Settings, Sweep

_SOURCES = ("data.source", "data.cache", "data.id", "data.licence")
"""Where images lie: of a machine, not of a sweep."""


def identity(sweep: Sweep, overrides: Sequence[Override]) -> dict[str, object]:
    """What must be the same for a sweep to go on; more trials may be asked for."""
    given = {one.key: one.value for one in overrides if one.key not in _SOURCES}
    return {**sweep.model_dump(mode="json", exclude={"trials"}), "overrides": given}


def require_comparable(sweep: Sweep, overrides: Sequence[Override]) -> None:
    """Reads the configuration of each choice and each range's ends.

    Raises:
        ConfigError: one is none; the command line sets what varies; no validation images are
            held back, training ends with another objective, or the bounds of two trials would
            not be of the same images.
    """
    varied = {key for settings in _samples(sweep) for key in settings}
    if both := sorted(one.key for one in overrides if one.key in varied):
        msg = f"{', '.join(both)}: set on the command line and varied by the sweep; leave one out"
        raise ConfigError(msg)
    configs = [(settings, sweep.config(settings, overrides)) for settings in _samples(sweep)]
    for settings, config in configs:
        if not config.data.validation_share:
            msg = (
                "a sweep chooses by the validation bound, and no images are held back: write "
                "data.validation_share = 0.1 below [set]"
            )
            raise ConfigError(msg)
        if config.tuning.epochs:
            msg = (
                "a sweep chooses by the ELBO, which tuning lowers while it raises the likelihood: "
                "write tuning.epochs = 0 below [set]; the best one can be tuned afterwards"
            )
            raise ConfigError(msg)
        if differing := _differing(configs[0][1], config):
            what = ", ".join(f"{key} = {value!r}" for key, value in settings.items())
            msg = (
                f"the trial with {what} would be measured on other images than the first: "
                f"{', '.join(differing)} must be the same in all trials"
            )
            raise ConfigError(msg)


def _samples(sweep: Sweep) -> Iterator[Settings]:
    """Settings in which each choice, and each end of a range, is there at least once."""
    known = sweep.all_trials()
    yield from known
    if known:
        return
    choices = {
        key: [one.low, one.high] if isinstance(one, Range) else one
        for key, one in sweep.variations().items()
    }
    for number in range(max(map(len, choices.values()))):
        yield {key: values[min(number, len(values) - 1)] for key, values in choices.items()}


def _differing(first: TrainingConfig, other: TrainingConfig) -> list[str]:
    parts = [(_measured(config)) for config in (first, other)]
    return [key for key in parts[0] if parts[0].get(key) != parts[1].get(key)]


def _measured(config: TrainingConfig) -> dict[str, object]:
    """What decides which numbers a validation bound is the density or probability of."""
    model = config.model
    # Validation images are not augmented.
    data = config.data.model_dump(mode="json", exclude={"augment"})
    return {
        **flatten({"data": data}),
        "model.channels": model.channels,
        "model.height": model.height,
        "model.width": model.width,
        "model.likelihood.family": model.likelihood.family,
        "model.likelihood.binarise": config.binarise,
    }
