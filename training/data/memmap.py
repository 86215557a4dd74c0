"""Images that stay in their file, so that a split of a set larger than memory costs its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from model.pixels import Images


class MappedImages:
    """uint8 [n, h, w, c]: some rows of an array that is mapped from a file, read when asked for."""

    def __init__(self, whole: Images, rows: NDArray[np.int64] | None = None) -> None:
        """`rows` of `whole` [m, h, w, c] in that order; None: all."""
        self._whole = whole
        self._rows = rows

    def __len__(self) -> int:
        return len(self._whole) if self._rows is None else len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, height, width, channels)."""
        height, width, channels = self._whole.shape[1:]
        return (len(self), height, width, channels)

    @property
    def nbytes(self) -> int:
        """What all of them take in memory."""
        return math.prod(self.shape)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Images:
        """The images of a slice or of row numbers, uint8 [k, h, w, c], read now."""
        if self._rows is not None:
            return np.asarray(self._whole[self._rows[index]])
        return np.asarray(self._whole[index])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Images:
        """All of them at once, which is for sets that fit into memory."""
        whole = self[:]
        return np.array(whole, dtype=dtype or whole.dtype, copy=copy)


ImageRows = Images | MappedImages
"""Images by row, in memory or not: what both have in common is how they are read."""

_VALUES = 2**22
"""Of images at once: 500 of up to 8,388 values each, and fewer of larger ones."""


def in_batches(
    images: ImageRows, most: int, rows: NDArray[np.int64] | None = None
) -> Iterator[Images]:
    """The images, or these rows of them, to take through a network: `most` at once, and of large
    ones fewer, so that what it keeps of them does not grow with their size."""
    at_once = max(1, min(most, _VALUES // math.prod(images.shape[1:])))
    for start in range(0, len(images) if rows is None else len(rows), at_once):
        part = slice(start, start + at_once)
        yield images[part] if rows is None else images[rows[part]]
