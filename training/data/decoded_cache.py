"""Images decoded once, into one uint8 file that is mapped into memory ever after."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from model.bundle.manifest import InputSpec, Preprocessing
from model.cores import available_cores
from model.images import fitting, reading
from model.images.reading import ImageError
from model.pixels import MAX_PIXELS, Images
from training.data.sources import Source
from training.data.splitting import Keys
from training.errors import DataError
from training.workdir import disk_error

_FORMAT = 1
_AHEAD = 4
"""Images for each core that are decoded ahead of the one that is written."""


@dataclass(frozen=True)
class Recipe:
    """How images become an array; part of the cache's key."""

    input: InputSpec
    preprocessing: Preprocessing
    convert: bool
    skip_unreadable: bool


@dataclass(frozen=True)
class Decoded:
    """A decoded split."""

    images: Images
    """uint8 [n, h, w, c], mapped from the file and read-only."""
    labels: NDArray[np.int64] | None
    keys: Keys
    """Of each image's file, [n, 2]."""
    fingerprint: str
    """SHA-256 of the encoded images and labels, size and preprocessing."""
    skipped: tuple[str, ...]


def decode(source: Source, recipe: Recipe, cache: Path) -> Decoded:
    """The split's images, from the cache where they have been decoded before.

    Raises:
        DataError: images that can't be read, or whose colours are not the model's.
        DiskError: the cache can't be written.
    """
    content, keys = source.content()
    folder = cache / _fingerprint(content, recipe)
    found = _open(folder, source, keys)
    if found is None:
        _fill(folder, source, recipe, keys)
        found = _open(folder, source, keys)
    if found is None:
        raise DataError(f"{folder}: the decoded images can't be read back; remove the folder")
    return found


def _open(folder: Path, source: Source, keys: Keys) -> Decoded | None:
    """The images decoded before; None if they are missing or incomplete: a file is truncated, or an
    older version did not write it (it left images out without noting which)."""
    try:
        skipped = json.loads((folder / "about.json").read_bytes())["skipped"]
        kept = np.load(folder / "kept.npy") if skipped else np.arange(len(keys))
        labels = np.load(folder / "labels.npy") if source.label_column is not None else None
        images = np.lib.format.open_memmap(folder / "images.npy", mode="r")
        keys = keys[kept]
    except (OSError, ValueError, LookupError, TypeError, EOFError):
        return None
    if len(images) != len(keys) or (labels is not None and len(labels) != len(keys)):
        return None
    return Decoded(images, labels, keys, folder.name, tuple(skipped))


def _fingerprint(content: str, recipe: Recipe) -> str:
    key = {
        "format": _FORMAT,
        "content": content,
        # Members that came later, and that these images do not have, change no fingerprint.
        "input": recipe.input.model_dump(mode="json", exclude_none=True),
        "preprocessing": recipe.preprocessing.model_dump(mode="json"),
        "convert": recipe.convert,
        "skip_unreadable": recipe.skip_unreadable,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _fill(folder: Path, source: Source, recipe: Recipe, keys: Keys) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".decoding-", dir=folder.parent, ignore_cleanup_errors=True
        ) as name:
            temporary = Path(name)
            with (temporary / "images.npy").open("wb") as file:
                kept, skipped = _write_images(file, source, recipe)
            labels = source.labels()
            if labels is not None:
                np.save(temporary / "labels.npy", labels[kept])
            if skipped:
                np.save(temporary / "kept.npy", kept)
            (temporary / "about.json").write_text(json.dumps({"skipped": skipped}))
            if _open(folder, source, keys) is None:
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
    except OSError as error:
        # Another process may have decoded the same images meanwhile: theirs is as good.
        if _open(folder, source, keys) is None:
            raise disk_error(folder, error) from error


def _write_images(
    file: IO[bytes], source: Source, recipe: Recipe
) -> tuple[NDArray[np.int64], list[str]]:
    """Streams the images into an .npy file; returns the rows kept and the names left out."""
    spec = recipe.input
    shape = (spec.height, spec.width, spec.channels)
    _write_header(file, (len(source), *shape))
    kept: list[int] = []
    unreadable: dict[str, ImageError] = {}
    strangers: list[str] = []
    for row, (name, outcome) in enumerate(fitted(source, recipe)):
        if isinstance(outcome, ImageError):
            unreadable[name] = outcome
            continue
        if not recipe.convert and (outcome.mode in fitting.GREY_MODES) != (spec.channels == 1):
            strangers.append(name)
        file.write(outcome.pixels.tobytes())
        kept.append(row)
    if unreadable and not recipe.skip_unreadable:
        listing = "".join(f"\n  {name}: {reason}" for name, reason in unreadable.items())
        raise DataError(
            f"{len(unreadable)} of {len(source)} images can't be read; repair or remove them, or "
            f"set data.skip_unreadable = true to leave them out:{listing}"
        )
    if not kept:
        raise DataError(f"none of the {len(source)} images can be read")
    if strangers:
        raise DataError(_colour_message(spec.channels, strangers, len(kept)))
    # NumPy pads the header so that a shorter first axis can be written in place.
    _write_header(file, (len(kept), *shape))
    file.flush()
    os.fsync(file.fileno())
    return np.asarray(kept, dtype=np.int64), list(unreadable)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    file.seek(0)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def fitted(source: Source, recipe: Recipe) -> Iterator[tuple[str, fitting.Fitted | ImageError]]:
    """Decodes on all cores (Pillow releases the interpreter lock), in order, a few ahead."""
    cores = available_cores()
    ahead: deque[tuple[str, Future[fitting.Fitted | ImageError]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for name, content in source.images():
            ahead.append((name, pool.submit(_fit, content, recipe)))
            if len(ahead) > cores * _AHEAD:
                first, outcome = ahead.popleft()
                yield first, outcome.result()
        for name, outcome in ahead:
            yield name, outcome.result()


def _fit(content: bytes | ImageError, recipe: Recipe) -> fitting.Fitted | ImageError:
    if isinstance(content, ImageError):
        return content
    try:
        image = reading.read(io.BytesIO(content), max_pixels=MAX_PIXELS)
        return fitting.fit(image, recipe.input, recipe.preprocessing)
    except ImageError as error:
        return error


def _colour_message(channels: int, strangers: list[str], total: int) -> str:
    kind, model, other = ("colour", "grey", 3) if channels == 1 else ("grey", "colour", 1)
    examples = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
    all_of_them = len(strangers) == total
    change = f"set model.channels = {other} for a {kind} model, or " if all_of_them else "set "
    return (
        f"{len(strangers)} of {total} images are in {kind}, and the model's are {model} "
        f"({examples}); {change}data.convert = true to convert them"
    )
