"""The hub's layout and plain folders, and what is wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from model.images.reading import ImageError
from tests.training import runs
from training.config.data import DataConfig
from training.data.sources import open_source, source_name
from training.errors import DataError


def data(tmp_path: Path, source: Path | str | None, **settings: object) -> DataConfig:
    return DataConfig.model_validate(
        {"source": str(source) if source else None, "cache": str(tmp_path / "cache"), **settings}
    )


def test_the_hubs_layout(tmp_path: Path) -> None:
    """Parquet files give both splits in order, with labels and their names."""
    sources = open_source(data(tmp_path, runs.MNIST))
    train, test = sources["train"], sources["test"]
    name, content = next(train.images())
    labels = train.labels()

    assert (len(train), len(test)) == (400, 100)
    assert name.startswith("train row 0")
    assert isinstance(content, bytes)
    assert content.startswith(b"\x89PNG")
    assert train.classes == tuple("0123456789")
    assert labels is not None
    assert np.bincount(labels).sum() == 400


def test_a_plain_folder(tmp_path: Path) -> None:
    """A flat folder of images is one split without labels; other files are no images."""
    folder = runs.write_images(tmp_path / "pictures", 3)
    (folder / "notes.txt").write_text("not an image")

    sources = open_source(data(tmp_path, folder))

    names = [Path(name).name for name, _ in sources["train"].images()]
    assert sorted(names) == ["picture-000.png", "picture-001.png", "picture-002.png"]
    assert list(sources) == ["train"]
    assert sources["train"].labels() is None
    assert sources["train"].classes == ()


def test_subfolders_are_classes(tmp_path: Path) -> None:
    """Images in subfolders are labelled by them."""
    runs.write_images(tmp_path / "pictures" / "cats", 2)
    runs.write_images(tmp_path / "pictures" / "dogs", 3)

    source = open_source(data(tmp_path, tmp_path / "pictures"))["train"]
    labels = source.labels()

    assert source.classes == ("cats", "dogs")
    assert labels is not None
    assert labels.tolist() == [0, 0, 1, 1, 1]


def test_train_and_test_folders_are_splits(tmp_path: Path) -> None:
    """Folders named train and test keep the test images apart."""
    runs.write_images(tmp_path / "pictures" / "train", 3)
    runs.write_images(tmp_path / "pictures" / "test", 2)

    sources = open_source(data(tmp_path, tmp_path / "pictures"))

    assert {name: len(source) for name, source in sources.items()} == {"train": 3, "test": 2}


def test_the_content_hash_is_of_images_and_labels(tmp_path: Path) -> None:
    """The same images have one hash wherever they lie; another image or label changes it."""
    first = runs.write_images(tmp_path / "first" / "a", 3).parent
    runs.write_images(tmp_path / "first" / "b", 1, seed=1)
    shutil.copytree(first, tmp_path / "copy")
    shutil.copytree(first, tmp_path / "changed")
    runs.write_images(tmp_path / "changed" / "a", 1, seed=9)

    hashes = [
        open_source(data(tmp_path, tmp_path / name))["train"].content()[0]
        for name in ("first", "copy", "changed")
    ]

    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "no images: set --data"),
        ("/nowhere/at/all", "neither a folder nor a hub name such as ylecun/mnist"),
        ("a/b/c", "neither a folder nor a hub name"),
        ("/nowhere/*.parquet", r"nor files that end in \.parquet"),
        ("no-such/set", "there is no folder no-such/set, and the hub .* local folders work"),
    ],
)
def test_no_such_source(tmp_path: Path, source: str | None, message: str) -> None:
    """A source that can't be found is an error that says what would be one."""
    with pytest.raises(DataError, match=message):
        open_source(data(tmp_path, source))


def test_an_empty_folder(tmp_path: Path) -> None:
    """A folder without files is an error that names it."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="empty: the folder has no images"):
        open_source(data(tmp_path, tmp_path / "empty"))


def test_a_folder_without_images(tmp_path: Path) -> None:
    """A folder of other files is an error that names it."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no image")

    with pytest.raises(DataError, match="texts: no images or parquet files"):
        open_source(data(tmp_path, tmp_path / "texts"))


def test_a_parquet_file(tmp_path: Path) -> None:
    """One file is a training split of its own, called after the folder that it is in."""
    images = runs.write_images(tmp_path / "pictures", 3)
    table = runs.write_table(tmp_path / "birds" / "all.parquet", images)

    sources = open_source(data(tmp_path, table))

    contents = [content for _, content in sources["train"].images()]
    assert contents == [path.read_bytes() for path in sorted(images.iterdir())]
    assert list(sources) == ["train"]
    assert source_name(data(tmp_path, table)) == "birds"


@pytest.mark.parametrize("pattern", ["birds/*.parquet", "birds/t*-?.parquet", "birds/**/*"])
def test_several_parquet_files(tmp_path: Path, pattern: str) -> None:
    """A pattern takes all files that it matches, each in the split that it is named after."""
    for number, name in enumerate(("train-0", "train-1", "test-0")):
        images = runs.write_images(tmp_path / f"pictures-{number}", 2 + number, seed=number)
        runs.write_table(tmp_path / "birds" / f"{name}.parquet", images)
    source = str(tmp_path / pattern)

    sources = open_source(data(tmp_path, source))

    assert {name: len(split) for name, split in sources.items()} == {"train": 5, "test": 4}
    assert source_name(data(tmp_path, source)) == "birds"


def test_a_parquet_file_with_a_plain_column_of_files(tmp_path: Path) -> None:
    """Files in a column that no data set declared to be images are read as such."""
    images = runs.write_images(tmp_path / "pictures", 3)
    contents = [path.read_bytes() for path in sorted(images.iterdir())]
    pq.write_table(pa.table({"height": [1, 2, 3], "png": contents}), tmp_path / "plain.parquet")

    source = open_source(data(tmp_path, tmp_path / "plain.parquet"))["train"]

    assert [content for _, content in source.images()] == contents


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    """A file that only ends like one is an error that names it."""
    (tmp_path / "broken.parquet").write_text("no table")

    with pytest.raises(DataError, match=r"broken\.parquet: no readable parquet files"):
        open_source(data(tmp_path, tmp_path / "broken.parquet"))


def test_rows_without_a_image_of_their_own(tmp_path: Path) -> None:
    """A row of nothing, and one that names a file elsewhere, are unreadable and say why; a file
    below the table's folder is read."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "near.png").write_bytes(b"near")
    named = [str(tmp_path / "secret.png"), "../secret.png", "near.png"]
    rows = [None, *({"bytes": None, "path": path} for path in named)]
    table = tmp_path / "birds" / "all.parquet"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), table)

    source = open_source(data(tmp_path, table))["train"]

    (name, nothing), *elsewhere, (_, near) = source.images()
    assert (name, str(nothing)) == ("train row 0", "no image")
    for _, outcome in elsewhere:
        assert isinstance(outcome, ImageError)
        assert "outside the source's folder" in str(outcome)
    assert near == b"near"
    assert len(source.content()[1]) == 4


def test_the_reason_that_datasets_has_is_told(tmp_path: Path) -> None:
    """Where `datasets` says that something went wrong, the error says what."""
    (tmp_path / "empty.parquet").touch()

    with pytest.raises(DataError, match="Parquet file size is 0 bytes"):
        open_source(data(tmp_path, tmp_path / "empty.parquet"))


def test_local_sources_are_read_without_progress_bars(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of `datasets` stands between our lines, and what was set for it stays."""
    open_source(data(tmp_path, runs.write_images(tmp_path / "pictures", 3)))

    assert capfd.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"source": " "}, "is empty"), ({"test_split": "train"}, "both 'train'")],
)
def test_settings_that_name_no_images_or_the_same(settings: object, message: str) -> None:
    """No text is no source, and what a model is measured on is not what it was trained on."""
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(settings)


def test_a_missing_split_lists_those_that_are_there(tmp_path: Path) -> None:
    """A training split that is not there is an error that names the others and the setting."""
    with pytest.raises(DataError, match=r"no split 'fit', only test, train; set data\.train_split"):
        open_source(data(tmp_path, runs.MNIST, train_split="fit"))


def test_a_table_without_images(tmp_path: Path) -> None:
    """A parquet file without a column of images is an error that lists its columns."""
    folder = tmp_path / "table"
    folder.mkdir()
    table = datasets.Dataset.from_dict({"height": [1], "width": [2]})
    table.to_parquet(folder / "train-0.parquet")

    with pytest.raises(DataError, match="no column of images among height, width"):
        open_source(data(tmp_path, folder))


def test_images_are_called_by_their_folder_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No path names images, however their folder is written; an id of one's own comes first."""
    (tmp_path / "cats").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "cats")

    for source in (str(tmp_path / "cats"), "~/cats", ".", "../cats/"):
        assert source_name(DataConfig(source=source)) == "cats"
    assert source_name(DataConfig(source="ylecun/mnist")) == "ylecun/mnist"
    assert source_name(DataConfig(source="~/cats", id="own")) == "own"
