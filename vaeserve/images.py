"""Images as callers have them → files to send, and PNG files → arrays that a notebook shows."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

ImageLike = str | PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any]
"""One image: a path, a file's bytes, a binary file object, a Pillow image or an array."""
ImagesLike = ImageLike | Sequence[ImageLike]
"""One image, several as an array, or a sequence of them."""
Row = bytes | Path | Image.Image | Pixels
"""One image that is not encoded yet; an array is uint8 [h, w, c]."""

_CHANNELS = (1, 3)
_PNG_MODES = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
_GAP = 2
_SHOWN = 64


def rows_of(images: ImagesLike) -> list[Row]:
    """Returns the images one by one.

    Args:
        images: files are read now if they are file objects, later if they are paths. Arrays are
            uint8 in 0 … 255 or floats in 0 … 1, [n, h, w, c], [h, w, c], [n, h, w] or [h, w], with
            c of 1 or 3. Three axes of which the last has length 1 or 3 are [h, w, c].

    Raises:
        ValueError: no images, or an array of another shape or range.
        TypeError: something else than images, or an array of another type.
    """
    rows: list[Row]
    if isinstance(images, bytes | Image.Image):
        rows = [images]
    elif isinstance(images, str | PathLike):
        rows = [Path(images)]
    elif hasattr(images, "read"):
        rows = [images.read()]
    elif hasattr(images, "__array__"):
        rows = list(_batch(np.asarray(images)))
    elif isinstance(images, Iterable):
        rows = [row for image in images for row in rows_of(image)]
    else:
        raise TypeError(
            "an image is a path, bytes, a binary file object, a Pillow image or an array, not "
            f"{type(images).__name__}"
        )
    if not rows:
        raise ValueError("there are no images; pass at least one")
    return rows


def _batch(array: NDArray[Any]) -> Pixels:
    """An array of images as uint8 [n, h, w, c]."""
    batch = array
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        batch = batch[..., None]
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or batch.shape[3] not in _CHANNELS:
        raise ValueError(
            "an array of images is [n, h, w, c], [h, w, c] or [n, h, w] with c of 1 or 3, not "
            f"{list(array.shape)}"
        )
    if batch.dtype == np.uint8:
        return batch
    if not np.issubdtype(batch.dtype, np.floating):
        raise TypeError(f"an array of images is uint8 or float, not {batch.dtype}")
    # NaN fails every comparison.
    if batch.size and not (batch.min() >= 0 and batch.max() <= 1):
        raise ValueError(f"float images lie in 0 … 1, not {batch.min():g} … {batch.max():g}")
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


def npy(array: NDArray[Any]) -> bytes:
    """The array as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def png(pixels: Pixels) -> bytes:
    """uint8 [h, w, c], c being 1 or 3, as a PNG file."""
    return _png(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def pixels_of(files: Iterable[bytes | str]) -> Pixels:
    """PNG files, as they are or in base64, as uint8 [n, h, w, c].

    Raises:
        OSError, ValueError: they are not PNG files, or differ in shape.
    """
    contents = (base64.b64decode(one) if isinstance(one, str) else one for one in files)
    opened = (Image.open(io.BytesIO(content), formats=("PNG",)) for content in contents)
    pixels = np.stack([np.asarray(image) for image in opened])
    return pixels.reshape(*pixels.shape[:3], -1)


def grid(images: Pixels) -> Pixels:
    """uint8 [n, h, w, c] side by side in ⌈√n⌉ columns with black gaps: uint8 [H, W, c]."""
    n, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(n))
    high, wide = height + _GAP, width + _GAP
    sheet = np.zeros((math.ceil(n / columns) * high, columns * wide, channels), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * high, index % columns * wide
        sheet[top : top + height, left : left + width] = image
    return sheet[:-_GAP, :-_GAP]


@dataclass(frozen=True, repr=False, eq=False)
class Images:
    """Images of a response. NumPy takes them as an array, and a notebook shows them.

    An integer index gives one image, uint8 [h, w, c]; a slice gives `Images`.

    Args:
        array: uint8 [n, h, w, c].
    """

    array: Pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """n, h, w and c."""
        return self.array.shape

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 as NumPy takes and gives
        found = self.array[index]
        return Images(found) if isinstance(index, slice) else found

    def __repr__(self) -> str:
        return f"Images(uint8 {list(self.shape)})"

    def _repr_png_(self) -> bytes | None:
        """A grid of the first 64 images."""
        return png(grid(self.array[:_SHOWN])) if len(self) else None
