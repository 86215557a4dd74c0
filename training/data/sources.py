"""Where images come from: the Hugging Face hub, a folder in its layout, parquet files, or a
plain folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.images.reading import ImageError
from training.config.data import DataConfig
from training.data.hub import folder_of_tables, load, parquet_files
from training.data.splitting import Keys, image_digest, to_keys
from training.errors import DataError

if TYPE_CHECKING:
    import datasets

_BATCH = 64
"""Rows read at once; their files are in memory together."""


@dataclass(frozen=True)
class Source:
    """One split on disk: encoded images in order, with labels if it has any."""

    split: str
    rows: datasets.Dataset
    """The image column is not decoded."""
    image_column: str
    label_column: str | None
    classes: tuple[str, ...]
    folders: tuple[Path, ...] = ()
    """Folders that may contain files named by rows; empty allows any folder."""

    def __len__(self) -> int:
        return len(self.rows)

    def images(self) -> Iterator[tuple[str, bytes | ImageError]]:
        """Each image's name and encoded bytes, or why a row has none.

        Raises:
            DataError: a file has gone or can't be read.
        """
        for start in range(0, len(self.rows), _BATCH):
            for offset, entry in enumerate(self.rows[start : start + _BATCH][self.image_column]):
                yield self._image(f"{self.split} row {start + offset}", entry or {})

    def _image(self, row: str, entry: Mapping[str, Any]) -> tuple[str, bytes | ImageError]:
        content, path = entry.get("bytes"), entry.get("path")
        if content is not None:
            return f"{row} ({path})" if path else row, content
        if not path:
            return row, ImageError("no image")
        if not self.folders:
            return path, _read(Path(path))
        # A table comes from elsewhere, and must not have files read that were never meant.
        within = [(folder.resolve(), (folder / path).resolve()) for folder in self.folders]
        files = [file for folder, file in within if file.is_relative_to(folder)]
        if not files:
            return f"{row} ({path})", ImageError("names a file outside the source's folder")
        return f"{row} ({path})", _read(next(filter(Path.is_file, files), files[0]))

    def labels(self) -> NDArray[np.int64] | None:
        """Class numbers [n], or None."""
        if self.label_column is None:
            return None
        return np.asarray(self.rows[self.label_column], dtype=np.int64)

    def content(self) -> tuple[str, Keys]:
        """Reads every image once: SHA-256 over bytes and labels in order, and each image's key.

        Raises:
            DataError: a file has gone or can't be read.
        """
        digest = hashlib.sha256()
        digests = []
        for _, image in self.images():
            content = b"" if isinstance(image, ImageError) else image
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
            digests.append(image_digest(content))
        labels = self.labels()
        if labels is not None:
            digest.update(labels.astype("<i8").tobytes())
        return digest.hexdigest(), to_keys(digests)


def open_source(config: DataConfig) -> dict[str, Source]:
    """The training split and, where the source has one, the test split, by name.

    Raises:
        DataError: no such source, no images in it, or no split of that name.
        DiskError: the cache can't be written.
    """
    if config.source is None:
        raise DataError("no images: set --data (or data.source) to a hub name or a folder")
    found, folders = load(config.source, config)
    if config.train_split not in found:
        raise DataError(
            f"{config.source}: has no split {config.train_split!r}, only "
            f"{', '.join(sorted(found))}; set data.train_split"
        )
    wanted = (config.train_split, config.test_split)
    sources = {
        name: _split(config.source, name, found[name], folders) for name in wanted if name in found
    }
    if not len(sources[config.train_split]):
        raise DataError(f"{config.source}: the split {config.train_split!r} has no images")
    return sources


def source_name(config: DataConfig) -> str:
    """What the images are called where no path belongs: `data.id`, a folder's own name, that of
    parquet files' folder, or the name on the hub."""
    source = config.source or ""
    if config.id:
        return config.id
    if parquet_files(source):
        return folder_of_tables(source).name
    folder = Path(source).expanduser()
    return folder.resolve().name if folder.exists() else source


def _split(source: str, name: str, rows: datasets.Dataset, folders: tuple[Path, ...]) -> Source:
    import datasets

    features = rows.features
    images = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    images = images or [key for key, feature in features.items() if _holds_files(feature)]
    labels = [key for key, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    if not images:
        raise DataError(f"{source}: no column of images among {', '.join(features)}")
    encoded = rows.cast_column(images[0], datasets.Image(decode=False))
    label = labels[0] if labels else None
    classes = tuple(features[label].names) if label else ()
    return Source(name, encoded, images[0], label, classes, folders)


def _holds_files(feature: object) -> bool:
    """Whether a column that is not declared as images contains bytes that may be image files."""
    if isinstance(feature, dict):
        return "bytes" in feature and "path" in feature
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
