"""Pictures of a caller → files to send, and files that were received → arrays."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.codecs.images import png
from model.pixels import Images

Source = bytes | str | Path
"""A picture file's bytes, or where it is."""
Pictures = Images | Sequence[Source]
"""uint8 [n, h, w, c] with c of 1 or 3, or picture files."""


def check(pictures: Pictures) -> None:
    """Holds that pictures can be sent at all.

    Raises:
        ValueError: none, or an array of another shape.
        TypeError: an array of another type, or a single file instead of a list.
    """
    if isinstance(pictures, str | bytes | Path):
        msg = f"images are a list or an array, not one {type(pictures).__name__}"
        raise TypeError(msg)
    if isinstance(pictures, np.ndarray):
        if pictures.dtype != np.uint8:
            msg = f"images are uint8 in 0 … 255, not {pictures.dtype}"
            raise TypeError(msg)
        if pictures.ndim != 4 or pictures.shape[3] not in (1, 3):
            msg = f"images are [n, h, w, c] with c of 1 or 3, not {list(pictures.shape)}"
            raise ValueError(msg)
    if not len(pictures):
        msg = "there is no image; give at least one"
        raise ValueError(msg)


def files(pictures: Pictures, start: int) -> Iterator[bytes]:
    """Picture files from row `start` on, each read or written when it is asked for.

    Raises:
        OSError: a file can't be read.
    """
    for index in range(start, len(pictures)):
        yield _file(pictures[index])


def _file(picture: Source | NDArray[np.uint8]) -> bytes:
    if isinstance(picture, np.ndarray):
        return png(picture)
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()


def from_base64(encoded: Sequence[str]) -> Images:
    """PNG files in base64 → uint8 [n, h, w, c].

    Raises:
        ValueError: no such files, or pictures of different shapes.
    """
    return np.stack([_pixels(base64.b64decode(text, validate=True)) for text in encoded])


def _pixels(file: bytes) -> Images:
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except OSError as error:
        raise ValueError(str(error)) from error
    return pixels.reshape(*pixels.shape[:2], -1)
