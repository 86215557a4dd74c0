"""The one definition of what a pixel is: layout, range, clamping, binarisation. NumPy only.

Outside, images are uint8 [n, h, w, c] in 0 … 255. Inside, they are float32 [n, c, h, w] in the
range that the bundle's manifest states, (0, 1) for the models trained here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model import noise

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Nats = NDArray[np.float64]
Range = tuple[float, float]

UNIT_RANGE: Range = (0.0, 1.0)
MAX_PIXELS = 89_000_000
"""Pixels of the largest image: Pillow warns above about this, and rejects twice as many."""


def to_float(images: Images, value_range: Range = UNIT_RANGE) -> Floats:
    """uint8 [n, h, w, c] → float32 [n, c, h, w] in `value_range`."""
    low, high = value_range
    scaled = np.multiply(images.transpose(0, 3, 1, 2), np.float32((high - low) / 255))
    if low:
        scaled += np.float32(low)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def to_uint8(pixels: Floats, value_range: Range = UNIT_RANGE) -> Images:
    """float32 [n, c, h, w] in `value_range` → uint8 [n, h, w, c]; clamped, rounded to nearest."""
    low, high = value_range
    grey = (pixels - np.float32(low)) * np.float32(255 / (high - low))
    np.rint(grey, out=grey)
    np.clip(grey, 0, 255, out=grey)
    return np.ascontiguousarray(grey.transpose(0, 2, 3, 1), dtype=np.uint8)


def finite_rows(rows: Floats) -> NDArray[np.bool_]:
    """Whether all values of each row are finite, bool [n]."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(
        np.isfinite(rows), axis=tuple(range(1, rows.ndim))
    )
    return finite


def binarise(images: Images, how: Literal["sample", "threshold"], *, seed: int = 0) -> Images:
    """uint8 [n, h, w, c] → the same shape with only 0 and 255.

    `threshold` cuts at 1/2. `sample` sets a pixel with its grey value / 255 as probability; row
    i's draws depend on (seed, i) alone, so an image is binarised alike in any batch.
    """
    if how == "threshold":
        return np.where(images >= 128, np.uint8(255), np.uint8(0))
    uniform = noise.uniform(seed, noise.Purpose.BINARISE, 0, len(images), images.shape[1:])
    return np.where(uniform * 255 < images, np.uint8(255), np.uint8(0))
