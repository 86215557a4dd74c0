"""Images as callers have them → files to send, and PNG files → arrays."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

ImageLike = str | PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any]
"""One image: a path, a file's bytes, a binary file object, a Pillow image or an array."""
ImagesLike = ImageLike | Sequence[ImageLike]
"""One image, several as an array, or a sequence of single images."""
Row = bytes | Path | Image.Image | Pixels
"""One image that is not encoded yet; an array is uint8 [h, w, c]."""

_CHANNELS = (1, 3)
_PNG_MODES = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
_GAP = 2


def rows_of(images: ImagesLike) -> Sequence[Row]:
    """Returns the images one by one.

    Args:
        images: files are read now if they are file objects, later if they are paths. Arrays are
            uint8 in 0 … 255 or floats in 0 … 1, [n, h, w, c], [h, w, c], [n, h, w] or [h, w], with
            c of 1 or 3. Three axes of which the last has length 1 or 3 are [h, w, c].

    Raises:
        ValueError: no images, or an array of another shape or range.
        TypeError: something else than images, or an array of another type.
    """
    rows: Sequence[Row]
    if isinstance(images, Image.Image) or not hasattr(images, "__array__"):
        one = isinstance(images, Image.Image | str | bytes | PathLike) or hasattr(images, "read")
        rows = [_row(images)] if one else [_row(image) for image in images]  # type: ignore[arg-type, union-attr]
    else:
        rows = list(_batch(np.asarray(images)))
    if not len(rows):
        msg = "there are no images; give at least one"
        raise ValueError(msg)
    return rows


def _row(image: ImageLike) -> Row:
    if isinstance(image, bytes | Image.Image):
        return image
    if isinstance(image, str | PathLike):
        return Path(image)
    content = image.read() if hasattr(image, "read") else image
    if isinstance(content, bytes):
        return content
    if not hasattr(content, "__array__"):
        msg = (
            "an image is a path, bytes, a binary file object, a Pillow image or an array, not "
            f"{type(content).__name__}"
        )
        raise TypeError(msg)
    batch = _batch(np.asarray(content))
    if len(batch) != 1:
        msg = f"each array in a list is one image, [h, w, c] or [h, w], not {list(content.shape)}"
        raise ValueError(msg)
    row: Pixels = batch[0]
    return row


def _batch(array: NDArray[Any]) -> Pixels:
    """An array of images as uint8 [n, h, w, c]."""
    batch = array
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        batch = batch[..., None]
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or batch.shape[3] not in _CHANNELS:
        msg = (
            "an array of images is [n, h, w, c], [h, w, c] or [n, h, w] with c of 1 or 3, not "
            f"{list(array.shape)}"
        )
        raise ValueError(msg)
    if batch.dtype == np.uint8:
        return batch
    if not np.issubdtype(batch.dtype, np.floating):
        msg = f"an array of images is uint8 or float, not {batch.dtype}"
        raise TypeError(msg)
    # NaN fails every comparison.
    if batch.size and not (batch.min() >= 0 and batch.max() <= 1):
        msg = f"float images lie in 0 … 1, not {batch.min():g} … {batch.max():g}"
        raise ValueError(msg)
    rounded: Pixels = np.rint(batch * 255).astype(np.uint8)
    return rounded


def file_of(row: Row) -> bytes:
    """The image as a file.

    Raises:
        OSError: the file can't be read.
    """
    if isinstance(row, bytes):
        return row
    if isinstance(row, Path):
        return row.read_bytes()
    if isinstance(row, np.ndarray):
        return png(row)
    upright = ImageOps.exif_transpose(row)
    return _png(upright if upright.mode in _PNG_MODES else upright.convert("RGB"))


def png(pixels: Pixels) -> bytes:
    """uint8 [h, w, c], c being 1 or 3, as a PNG file."""
    return _png(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def pixels_of(file: bytes) -> Pixels:
    """A PNG file as uint8 [h, w, c].

    Raises:
        ValueError: the file is not a PNG.
    """
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except OSError as error:
        raise ValueError(str(error)) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def from_base64(encoded: Sequence[str]) -> Pixels:
    """PNG files in base64 as uint8 [n, h, w, c].

    Raises:
        ValueError: they are not PNG files, or differ in shape.
    """
    return np.stack([pixels_of(base64.b64decode(text, validate=True)) for text in encoded])


def grid(images: Pixels) -> Pixels:
    """uint8 [n, h, w, c] side by side in ⌈√n⌉ columns with black gaps: uint8 [H, W, c]."""
    n, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    tiles = np.zeros((rows * columns, height + _GAP, width + _GAP, channels), np.uint8)
    tiles[:n, :height, :width] = images
    sheet = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    flat = sheet.reshape(rows * (height + _GAP), columns * (width + _GAP), channels)
    return flat[:-_GAP, :-_GAP]
