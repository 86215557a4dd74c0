"""Splits share no image and depend on the images alone."""

from __future__ import annotations

import io
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training import runs
from training.config.run import TrainingConfig
from training.data.dataset import (
    HELD_BACK,
    Split,
    is_binary,
    load_data,
    reload_data,
    require_enough,
)
from training.data.sources import open_source
from training.errors import DataError, StageError
from training.workdir import Workdir, write_json


def settings(tmp_path: Path, folder: Path, **others: object) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "model": {"channels": 3, "height": 16, "width": 20},
            "data": {"source": str(folder), "cache": str(tmp_path / "cache"), **others},
        }
    )


def rows(split: Split) -> set[bytes]:
    return {image.tobytes() for image in np.asarray(split.images)}


def test_splits_share_no_image(tmp_path: Path) -> None:
    """Training, validation and test images together are all images, each once."""
    folder = runs.write_images(tmp_path / "pictures", 40)

    data = load_data(settings(tmp_path, folder, test_share=0.25, validation_share=0.2))

    parts = [rows(split) for split in (data.train, data.validation, data.test)]
    assert all(parts)
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 40


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 5},
        {"model": {"channels": 3, "height": 8, "width": 10}},
        {"data": {"background": 255}},
        {"data": {"convert": True, "skip_unreadable": True}},
    ],
)
def test_the_split_depends_on_the_images_alone(tmp_path: Path, other: dict[str, Any]) -> None:
    """Runs with another seed, size or preprocessing hold the same images back."""
    for number in range(12):  # a class each, so that labels tell the images apart at any size
        runs.write_images(tmp_path / "pictures" / f"{number:02}", 1, seed=number)
    config = settings(tmp_path, tmp_path / "pictures", validation_share=0.3, test_share=0.2)
    document = config.model_dump()
    changed = {**document, **other, "data": {**document["data"], **other.get("data", {})}}

    first, second = load_data(config), load_data(TrainingConfig.model_validate(changed))

    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, split).labels, getattr(second, split).labels)


def test_a_test_split_of_the_source_is_kept_whole(tmp_path: Path) -> None:
    """Where the source has a test split, nothing is taken from the training images."""
    data = load_data(runs.config(tmp_path))

    assert (len(data.train), len(data.validation), len(data.test)) == (400, 0, 100)
    assert data.train.labels is not None
    assert len(data.train.labels) == 400
    assert set(data.fingerprints) == {"train", "test"}


def test_labels_stay_with_their_images(tmp_path: Path) -> None:
    """An image that goes to another split takes its label along."""
    runs.write_images(tmp_path / "pictures" / "a", 10)
    runs.write_images(tmp_path / "pictures" / "b", 10, seed=1)
    whole = load_data(settings(tmp_path, tmp_path / "pictures", test_share=0))
    assert whole.train.labels is not None
    label_of = dict(
        zip(
            (image.tobytes() for image in np.asarray(whole.train.images)),
            whole.train.labels.tolist(),
            strict=True,
        )
    )

    data = load_data(settings(tmp_path, tmp_path / "pictures", test_share=0.5))

    for split in (data.train, data.test):
        assert split.labels is not None
        found = [label_of[image.tobytes()] for image in np.asarray(split.images)]
        assert found == split.labels.tolist()


def test_too_few_images(tmp_path: Path) -> None:
    """A validation split that would be empty is an error, not a silent nothing."""
    folder = runs.write_images(tmp_path / "pictures", 2)

    with pytest.raises(DataError, match="2 images are too few"):
        load_data(settings(tmp_path, folder, validation_share=0.1))


@pytest.mark.parametrize(
    ("count", "test_share", "words"),
    [
        (1, 0.1, r"1 images to train on and 0 to test are too few: add images"),
        (2, 0.5, r"1 images to train on and 1 to test are too few: add images"),
        (4, 0.0, r"4 images to train on and 0 to test.*: raise data\.test_share"),
    ],
)
def test_what_can_not_be_trained_or_measured(
    tmp_path: Path, count: int, test_share: float, words: str
) -> None:
    """Less than 2 images to train on, or none to test, are refused with what to set."""
    folder = runs.write_images(tmp_path / "pictures", count)

    with pytest.raises(DataError, match=words):
        require_enough(load_data(settings(tmp_path, folder, test_share=test_share)))


def test_two_images_to_train_on_and_one_to_test_are_enough(tmp_path: Path) -> None:
    """The smallest run that can be trained and measured is taken."""
    folder = runs.write_images(tmp_path / "pictures", 3)

    require_enough(load_data(settings(tmp_path, folder, test_share=0.34)))


def test_grey_images_for_a_bernoulli_are_refused(tmp_path: Path) -> None:
    """Non-binary images and a Bernoulli likelihood need a binarisation to be chosen."""
    config = runs.config(tmp_path, "model.likelihood.binarise=none")

    with pytest.raises(DataError, match=r'binarise = "sample".*family = "gaussian"'):
        load_data(config)


def test_binary_images_need_no_binarisation(tmp_path: Path) -> None:
    """Black and white images train with a Bernoulli likelihood as they are."""
    folder = tmp_path / "binary"
    folder.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).choice([0, 255], size=(28, 28)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")

    data = load_data(runs.config(tmp_path, "model.likelihood.binarise=none", data=folder))

    assert is_binary(data.train.images)


def test_later_stages_refuse_other_images(tmp_path: Path) -> None:
    """A stage that finds other images than the run was trained on says so."""
    folder = runs.write_images(tmp_path / "pictures", 10)
    config = settings(tmp_path, folder)
    workdir = Workdir(tmp_path / "run")
    with pytest.raises(StageError, match="run `vaetrain fit`"):
        reload_data(workdir, config)
    known = dict(load_data(config).fingerprints)
    write_json(workdir.run, {"fingerprints": known})

    assert len(reload_data(workdir, config).train) == 9
    runs.write_images(folder, 10, seed=3)
    with pytest.raises(DataError, match=r"not the images that .* was trained with"):
        reload_data(workdir, config)


def test_a_workdir_whose_images_were_divided_otherwise_is_refused(tmp_path: Path) -> None:
    """What another version trained with is never taken for held back."""
    config = settings(tmp_path, runs.write_images(tmp_path / "pictures", 10))
    workdir = Workdir(tmp_path / "run")
    known = dict(load_data(config).fingerprints)
    del known[HELD_BACK]
    write_json(workdir.run, {"fingerprints": known})

    with pytest.raises(DataError, match=r"split differently than .*; train again"):
        reload_data(workdir, config)


def test_a_image_stays_on_its_side_when_others_are_added(tmp_path: Path) -> None:
    """More images, in whatever order, move none of those that were there before."""
    few = runs.write_images(tmp_path / "few", 30)
    many = runs.write_images(tmp_path / "many" / "b", 40, seed=1).parent
    shutil.copytree(few, many / "a")
    shares = {"test_share": 0.3, "validation_share": 0.3}

    before, after = (load_data(settings(tmp_path, folder, **shares)) for folder in (few, many))

    for name in ("train", "validation", "test"):
        assert rows(getattr(before, name)) < rows(getattr(after, name))


def test_copies_of_a_image_are_on_one_side(tmp_path: Path) -> None:
    """Files of equal content are never divided, so nothing held back was trained on."""
    first = runs.write_images(tmp_path / "pictures" / "first", 12)
    folder = first.parent
    for number in range(3):
        shutil.copytree(first, folder / f"copy-{number}")

    data = load_data(settings(tmp_path, folder, test_share=0.3, validation_share=0.3))

    parts = (data.train, data.validation, data.test)
    assert [len(part) % 4 for part in parts] == [0, 0, 0]
    assert sum(len(rows(part)) for part in parts) == 12
    assert sum(data.counts().values()) == 48


def test_without_shares_the_images_keep_their_order(tmp_path: Path) -> None:
    """Where nothing is held back, rows are those of the source, which older checkpoints rely on."""
    data = load_data(runs.config(tmp_path))
    source = open_source(runs.config(tmp_path).data)["train"]

    files = itertools.islice(source.images(), 5)
    contents = [content for _, content in files if isinstance(content, bytes)]
    expected = np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in contents])

    np.testing.assert_array_equal(data.train.images[:5], expected[..., None])
    assert HELD_BACK not in data.fingerprints


def test_images_left_out_move_no_other(tmp_path: Path) -> None:
    """An unreadable file changes no other image's side, read anew or from the cache."""
    folder = runs.write_images(tmp_path / "pictures", 30)
    shares = {"test_share": 0.3, "validation_share": 0.3}
    before = load_data(settings(tmp_path, folder, **shares))
    (folder / "a-broken.png").write_text("no image")

    for _ in range(2):
        after = load_data(settings(tmp_path, folder, skip_unreadable=True, **shares))
        for name in ("train", "validation", "test"):
            assert rows(getattr(before, name)) == rows(getattr(after, name))


def test_copies_of_one_image_are_told_as_such(tmp_path: Path) -> None:
    """Where no image can be held back, the error says why and not to set what is set."""
    folder = runs.write_images(tmp_path / "pictures", 1)
    for number in range(3):
        shutil.copy(folder / "picture-000.png", folder / f"copy-{number}.png")

    with pytest.raises(DataError, match="all 4 images are copies of one"):
        load_data(settings(tmp_path, folder))
