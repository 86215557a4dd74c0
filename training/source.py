"""Where pictures come from: the Hugging Face hub, a folder in its layout, parquet files, or a
plain folder."""

from __future__ import annotations

import errno
import glob
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.data_config import DataConfig
from training.errors import DataError
from training.split import Keys, picture_digest, to_keys
from training.workdir import disk_error

if TYPE_CHECKING:
    import datasets

_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
_OF_SPLIT = re.compile(r"([a-z]+)[-_]\d")
_BATCH = 64
"""Rows read at once; their files are in memory together."""
_DISK_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


@dataclass(frozen=True)
class Content:
    """What a split holds, wherever it lies."""

    hash: str
    """SHA-256 over every picture's bytes and label, in order."""
    keys: Keys
    """Of each picture's bytes."""


@dataclass(frozen=True)
class Source:
    """One split as it lies on disk: encoded pictures in order, with labels where there are any."""

    split: str
    rows: datasets.Dataset
    """The image column is not decoded."""
    image_column: str
    label_column: str | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Each picture's name and encoded bytes.

        Raises:
            DataError: a file has gone or can't be read.
        """
        for start in range(0, len(self.rows), _BATCH):
            for offset, entry in enumerate(self.rows[start : start + _BATCH][self.image_column]):
                path = entry["path"]
                row = f"{self.split} row {start + offset}"
                if entry["bytes"] is not None:
                    yield f"{row} ({path})" if path else row, entry["bytes"]
                else:
                    yield path, _read(Path(path))

    def labels(self) -> NDArray[np.int64] | None:
        """Class numbers [n], or None."""
        if self.label_column is None:
            return None
        return np.asarray(self.rows[self.label_column], dtype=np.int64)

    def content(self) -> Content:
        """Reads every picture once and keeps none.

        Raises:
            DataError: a file has gone or can't be read.
        """
        digest = hashlib.sha256()
        digests = []
        for _, content in self.pictures():
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
            digests.append(picture_digest(content))
        labels = self.labels()
        if labels is not None:
            digest.update(labels.astype("<i8").tobytes())
        return Content(digest.hexdigest(), to_keys(digests))


def open_source(config: DataConfig) -> dict[str, Source]:
    """The training split and, where the source has one, the test split, by name.

    Raises:
        DataError: no such source, no pictures in it, or no split of that name.
        DiskError: the cache can't be written.
    """
    if config.source is None:
        msg = "no pictures: give --data with a hub name or a folder (or set data.source)"
        raise DataError(msg)
    found = _load(config.source, config)
    if config.train_split not in found:
        msg = (
            f"{config.source}: has no split {config.train_split!r}, only "
            f"{', '.join(sorted(found))}; set data.train_split"
        )
        raise DataError(msg)
    wanted = (config.train_split, config.test_split)
    sources = {name: _split(config.source, name, found[name]) for name in wanted if name in found}
    if not len(sources[config.train_split]):
        msg = f"{config.source}: the split {config.train_split!r} holds no pictures"
        raise DataError(msg)
    return sources


def source_name(config: DataConfig) -> str:
    """What the pictures are called where no path belongs: `data.id`, a folder's own name, that of
    parquet files' folder, or the name on the hub."""
    source = config.source or ""
    if config.id:
        return config.id
    if not _tables(source):
        folder = Path(source).expanduser()
        return folder.resolve().name if folder.exists() else source
    # Of parquet files the folder that they are in, or the first one that is no pattern.
    above = (part for part in Path(source).expanduser().parents if not glob.has_magic(str(part)))
    return next(above).resolve().name


def _load(source: str, config: DataConfig) -> datasets.DatasetDict:
    # Imported late: it takes seconds, and `--help` should not.
    import datasets

    folder, tables = Path(source).expanduser(), _tables(source)
    local = folder.exists() or bool(tables) or not _HUB_NAME.match(source)
    try:
        if not local:
            return datasets.load_dataset(source, revision=config.revision)
        if not tables and not folder.is_dir():
            msg = (
                f"{source}: neither a folder nor a hub name such as ylecun/mnist, nor files that "
                "end in .parquet"
            )
            raise DataError(msg)
        cache = str(Path(config.cache).expanduser() / "huggingface")
        if tables:
            files = _by_split(tables, config.train_split)
            return datasets.load_dataset("parquet", data_files=files, cache_dir=cache)
        if any(folder.rglob("*.parquet")):
            return datasets.load_dataset(str(folder), cache_dir=cache)
        return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        if refusal := _disk_refusal(error):
            raise disk_error(Path(config.cache).expanduser(), refusal) from error
        if tables:
            msg = f"{source}: no parquet files that can be read: {error}"
        elif local and not _has_files(folder):
            msg = f"{source}: the folder holds no pictures"
        elif local:
            msg = f"{source}: no pictures or parquet files that `datasets` can read: {error}"
        else:
            msg = f"{source}: not read from the hub ({error}); a local folder works without it"
        raise DataError(msg) from error


def _split(source: str, name: str, rows: datasets.Dataset) -> Source:
    import datasets

    features = rows.features
    images = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    images = images or [key for key, feature in features.items() if _holds_files(feature)]
    labels = [key for key, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    if not images:
        msg = f"{source}: no column of pictures among {', '.join(features)}"
        raise DataError(msg)
    encoded = rows.cast_column(images[0], datasets.Image(decode=False))
    label = labels[0] if labels else None
    classes = tuple(features[label].names) if label else ()
    return Source(name, encoded, images[0], label, classes)


def _tables(source: str) -> list[str]:
    """The parquet files that a path or a pattern such as `data/*.parquet` names."""
    path = str(Path(source).expanduser())
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else [path]
    return [name for name in found if name.endswith(".parquet") and Path(name).is_file()]


def _by_split(tables: Sequence[str], otherwise: str) -> dict[str, list[str]]:
    """Files by the split that they are named after, as in `test-00000-of-00001.parquet`."""
    splits: dict[str, list[str]] = {}
    for name in tables:
        named = _OF_SPLIT.match(Path(name).name)
        splits.setdefault(named[1] if named else otherwise, []).append(name)
    return splits


def _holds_files(feature: object) -> bool:
    """Whether a column that nobody declared to be pictures has what can be their files."""
    if isinstance(feature, dict):
        return "bytes" in feature and "path" in feature
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _disk_refusal(error: BaseException | None) -> OSError | None:
    """The write error that `datasets` wrapped into its own, if that is what happened."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_REFUSALS:
            return error
        error = error.__cause__ or error.__context__
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise DataError(msg) from error
