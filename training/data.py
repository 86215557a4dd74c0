"""The pictures of a run: training, validation and test split, each a uint8 array."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import BernoulliConfig
from model.pixels import Images
from training.cache import Decoded, Recipe, decode
from training.config import TrainingConfig
from training.errors import DataError
from training.source import open_source
from training.workdir import Workdir

_CHECKED_AT_ONCE = 4096


@dataclass(frozen=True)
class Split:
    """Some pictures."""

    images: Images
    """uint8 [n, h, w, c]."""
    labels: NDArray[np.int64] | None
    """Class numbers [n], indices into `Data.classes`."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Data:
    """All splits of a run. They share no picture of the source."""

    train: Split
    validation: Split
    test: Split
    """Empty where the source has no test split and `data.test_share` is 0."""
    classes: tuple[str, ...]
    fingerprints: Mapping[str, str]
    """By split of the source: a hash over content, size and preprocessing."""
    skipped: tuple[str, ...]
    """Names of the pictures that were left out as unreadable."""

    def counts(self) -> dict[str, int]:
        """By split, how many pictures."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: len(part) for name, part in parts.items()}


def load_data(config: TrainingConfig) -> Data:
    """Reads, decodes and splits the pictures.

    Raises:
        DataError: see `open_source` and `decode`; too few pictures for the splits; or grey
            pictures for a Bernoulli likelihood without binarisation.
        DiskError: the cache can't be written.
    """
    recipe = Recipe(
        config.input, config.preprocessing, config.data.convert, config.data.skip_unreadable
    )
    cache = Path(config.data.cache).expanduser()
    sources = open_source(config.data)
    decoded = {name: decode(source, recipe, cache) for name, source in sources.items()}
    whole = decoded[config.data.train_split]
    order = _shuffled(whole)
    if config.data.test_split in decoded:
        test, rest = _all_of(decoded[config.data.test_split]), order
    else:
        held = round(len(order) * config.data.test_share)
        test, rest = _part(whole, order[:held]), order[held:]
    held = round(len(rest) * config.data.validation_share)
    validation, train = _part(whole, rest[:held]), _part(whole, rest[held:])
    if not len(train) or (config.data.validation_share and not len(validation)):
        msg = f"{len(whole.images)} pictures are too few for the shares that are to be set apart"
        raise DataError(msg)
    data = Data(
        train=train,
        validation=validation,
        test=test,
        classes=sources[config.data.train_split].classes,
        fingerprints={name: part.fingerprint for name, part in decoded.items()},
        skipped=tuple(name for part in decoded.values() for name in part.skipped),
    )
    _check_binary(config, data)
    return data


def require_enough(data: Data) -> None:
    """Whether a run of these splits can be trained and then measured.

    Raises:
        DataError: fewer than two training pictures, or no test picture; says what to set.
    """
    counts = f"{len(data.train)} pictures to train on and {len(data.test)} to test"
    if len(data.train) < 2:
        msg = (
            f"{counts} are too few: add pictures, or set data.test_share and "
            "data.validation_share lower, so that at least 2 are left to train on"
        )
        raise DataError(msg)
    if not len(data.test):
        msg = (
            f"{counts}, which could not be measured: set data.test_share above 0 and so high that "
            "it makes at least 1 picture, name a split as data.test_split, or add pictures"
        )
        raise DataError(msg)


def reload_data(workdir: Workdir, config: TrainingConfig) -> Data:
    """The pictures that `fit` saw in this workdir, for a later stage.

    Raises:
        DataError: as for `load_data`, or they have changed since.
        StageError: `fit` has not finished, or its `run.json` is damaged.
    """
    known = workdir.read_json(workdir.run, "fit")["fingerprints"]
    data = load_data(config)
    if data.fingerprints != known:
        msg = f"{config.data.source}: not the pictures that {workdir.folder} was trained with"
        raise DataError(msg)
    return data


def held_out(data: Data, config: TrainingConfig) -> tuple[str, Split, str]:
    """Name, pictures and source's fingerprint of what the model was not trained on: the
    validation split, or where none was held back, as in the presets that ship, the test split.

    What is measured on them decides nothing about the model, so that the test pictures stay unseen
    by it.

    Raises:
        DataError: there is neither.
    """
    whole = data.fingerprints[config.data.train_split]
    if len(data.validation):
        return "validation", data.validation, whole
    if len(data.test):
        return "test", data.test, data.fingerprints.get(config.data.test_split, whole)
    msg = "no picture is held out: set data.validation_share or data.test_share and train anew"
    raise DataError(msg)


def describe_split(name: str, counts: Mapping[str, int]) -> str:
    """How the source's split `name` was divided, for the manifest."""
    return f"{name}: " + ", ".join(f"{count} {part}" for part, count in counts.items())


def spread_rows(available: int, wanted: int) -> NDArray[np.int64]:
    """All rows, or `wanted` of them spread evenly; 0 takes all."""
    count = min(wanted, available) if wanted else available
    return np.linspace(0, available, count, endpoint=False).astype(np.int64)


def is_binary(images: Images) -> bool:
    """Whether every pixel is 0 or 255."""
    return all(
        bool(np.isin(images[start : start + _CHECKED_AT_ONCE], (0, 255)).all())
        for start in range(0, len(images), _CHECKED_AT_ONCE)
    )


def _shuffled(decoded: Decoded) -> NDArray[np.int64]:
    # Keyed by the pictures alone: runs with other seeds or sizes are compared on one split.
    key = hashlib.sha256(decoded.content.encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "little")))
    return generator.permutation(len(decoded.images)).astype(np.int64)


def _part(decoded: Decoded, rows: NDArray[np.int64]) -> Split:
    if len(rows) == len(decoded.images):
        return _all_of(decoded)
    kept = np.sort(rows)
    labels = decoded.labels[kept] if decoded.labels is not None else None
    return Split(decoded.images[kept], labels)


def _all_of(decoded: Decoded) -> Split:
    return Split(decoded.images, decoded.labels)


def _check_binary(config: TrainingConfig, data: Data) -> None:
    likelihood = config.model.likelihood
    if not isinstance(likelihood, BernoulliConfig) or likelihood.binarise != "none":
        return
    if not all(is_binary(split.images) for split in (data.train, data.validation, data.test)):
        msg = (
            "the pictures are not binary, and grey is no outcome of a Bernoulli variable: set "
            'model.likelihood.binarise = "sample" (or "threshold"), or '
            'model.likelihood.family = "gaussian" or "logistic"'
        )
        raise DataError(msg)
