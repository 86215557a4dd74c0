"""The images of a run: training, validation and test split, each a uint8 array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.config.run import TrainingConfig
from training.data.decoded_cache import Decoded, Recipe, decode
from training.data.memmap import ImageRows, MappedImages, in_batches
from training.data.sources import open_source
from training.data.splitting import digest_of_split, hold_back
from training.errors import DataError
from training.workdir import Workdir

HELD_BACK = "held back"
"""No split of a source: their names have no spaces."""


@dataclass(frozen=True)
class Split:
    """Some images."""

    images: ImageRows
    """uint8 [n, h, w, c]; where they were decoded they stay in their file."""
    labels: NDArray[np.int64] | None
    """Class numbers [n], indices into `Data.classes`."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Data:
    """All splits of a run. They share no image of the source."""

    train: Split
    validation: Split
    test: Split
    """Empty where the source has no test split and `data.test_share` is 0."""
    classes: tuple[str, ...]
    fingerprints: Mapping[str, str]
    """By split of the source: a hash over content, size and preprocessing. `HELD_BACK`, where
    images of the training split were: a hash over which."""
    skipped: tuple[str, ...]
    """Names of the images that were left out as unreadable."""

    def counts(self) -> dict[str, int]:
        """By split, how many images."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: len(part) for name, part in parts.items()}


def load_data(config: TrainingConfig) -> Data:
    """Reads, decodes and splits the images without copying them into memory.

    Raises:
        DataError: see `open_source` and `decode`; too few images for the splits; or grey
            images for a Bernoulli likelihood without binarisation.
        DiskError: the cache can't be written.
    """
    recipe = Recipe(
        config.input, config.preprocessing, config.data.convert, config.data.skip_unreadable
    )
    cache = Path(config.data.cache).expanduser()
    sources = open_source(config.data)
    decoded = {name: decode(source, recipe, cache) for name, source in sources.items()}
    whole = decoded[config.data.train_split]
    apart = decoded.get(config.data.test_split)
    test_share = 0 if apart else config.data.test_share
    tested = hold_back(whole.keys[:, 0], test_share)
    validated = np.zeros_like(tested)
    validated[~tested] = hold_back(whole.keys[~tested, 1], config.data.validation_share)
    train, validation = _part(whole, ~tested & ~validated), _part(whole, validated)
    shared = len(whole.keys) > 1 and bool((whole.keys == whole.keys[0]).all())
    if shared and (config.data.validation_share or test_share):
        raise DataError(
            f"all {len(whole.keys)} images are copies of one, so none can be held back: add others"
        )
    if not len(train) or (config.data.validation_share and not len(validation)):
        msg = f"{len(whole.images)} images are too few to hold back the configured shares"
        raise DataError(msg)
    fingerprints = {name: part.fingerprint for name, part in decoded.items()}
    if tested.any() or validated.any():
        # So that no other run or version divides otherwise unnoticed.
        fingerprints[HELD_BACK] = digest_of_split(whole.keys, validated, tested)
    data = Data(
        train=train,
        validation=validation,
        test=_part(apart) if apart else _part(whole, tested),
        classes=sources[config.data.train_split].classes,
        fingerprints=fingerprints,
        skipped=tuple(name for part in decoded.values() for name in part.skipped),
    )
    _check_binary(config, data)
    return data


def require_enough(data: Data) -> None:
    """Whether a run of these splits can be trained and then measured.

    Raises:
        DataError: fewer than two training images, or no test image; says what to set.
    """
    counts = f"{len(data.train)} images to train on and {len(data.test)} to test"
    if len(data.train) < 2:
        raise DataError(
            f"{counts} are too few: add images, or lower data.test_share and "
            "data.validation_share so that at least 2 remain for training"
        )
    if not len(data.test):
        raise DataError(
            f"{counts}, so the model could not be measured: raise data.test_share until it "
            "selects at least 1 image, name a split in data.test_split, or add images"
        )


def reload_data(workdir: Workdir, config: TrainingConfig) -> Data:
    """The images that `fit` saw in this workdir, for a later stage.

    Raises:
        DataError: as for `load_data`, or they have changed since.
        StageError: `fit` has not finished, or its `run.json` is damaged.
    """
    known: dict[str, str] = workdir.read_json(workdir.run, "fit", fingerprints=dict)["fingerprints"]
    data = load_data(config)
    if data.fingerprints != known:
        msg = f"{config.data.source}: not the images that {workdir.folder} was trained with"
        if {**data.fingerprints, HELD_BACK: ""} == {**known, HELD_BACK: ""}:
            msg = (
                f"{config.data.source}: the images are split differently than when "
                f"{workdir.folder} was trained (by data.test_share, data.validation_share or "
                "another version), so some would wrongly count as held back; train again"
            )
        raise DataError(msg)
    return data


def held_out(data: Data, config: TrainingConfig) -> tuple[str, Split, str]:
    """Name, images and source's fingerprint of what the model was not trained on: the
    validation split, or, if none was held back (as in the shipped presets), the test split.

    Measurements on them never change the model, so it stays independent of the test images.

    Raises:
        DataError: there is neither.
    """
    whole = data.fingerprints[config.data.train_split]
    if len(data.validation):
        return "validation", data.validation, whole
    if len(data.test):
        return "test", data.test, data.fingerprints.get(config.data.test_split, whole)
    msg = "no image is held out: set data.validation_share or data.test_share and train again"
    raise DataError(msg)


def describe_split(name: str, counts: Mapping[str, int], fingerprints: Mapping[str, str]) -> str:
    """How the source's split `name` was divided, for the manifest."""
    how = ", held back by fingerprint" if HELD_BACK in fingerprints else ""
    return f"{name}: " + ", ".join(f"{count} {part}" for part, count in counts.items()) + how


def spread_rows(available: int, wanted: int) -> NDArray[np.int64]:
    """All rows, or `wanted` of them spread evenly; 0 takes all."""
    count = min(wanted, available) if wanted else available
    return np.linspace(0, available, count, endpoint=False).astype(np.int64)


def is_binary(images: ImageRows) -> bool:
    """Whether every pixel is 0 or 255."""
    batches = in_batches(images, len(images))
    return all(bool(np.isin(batch, (0, 255)).all()) for batch in batches)


def _part(decoded: Decoded, chosen: NDArray[np.bool_] | None = None) -> Split:
    """The chosen rows, bool [n]; all of them if no row is left out."""
    if chosen is None or chosen.all():
        return Split(MappedImages(decoded.images), decoded.labels)
    rows = np.flatnonzero(chosen)
    labels = decoded.labels[rows] if decoded.labels is not None else None
    return Split(MappedImages(decoded.images, rows), labels)


def _check_binary(config: TrainingConfig, data: Data) -> None:
    if config.model.likelihood.binarisation != "none":
        return
    if not all(is_binary(split.images) for split in (data.train, data.validation, data.test)):
        raise DataError(
            "the images are grey, but a Bernoulli likelihood needs binary ones: set "
            'model.likelihood.binarise = "sample" (or "threshold"), or '
            'model.likelihood.family = "gaussian" or "logistic"'
        )
