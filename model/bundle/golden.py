"""The golden batch: what the graphs answered when they were exported."""

from __future__ import annotations

import numpy as np

from model.archive import read_arrays
from model.bundle.bundle import GOLDEN, Bundle, BundleError
from model.pixels import Floats

NAMES = ("image", "mean", "logvar", "latent", "pixels", "params")
LARGEST = 1 << 30
"""Bytes that its arrays take at most."""


def read_golden(bundle: Bundle) -> dict[str, Floats]:
    """Its arrays by name, float32.

    Raises:
        BundleError: it is damaged, or holds something else.
    """
    content = bundle.read(GOLDEN)
    try:
        arrays = read_arrays(content, NAMES, LARGEST)
    except ValueError as error:
        msg = f"{bundle.folder / GOLDEN}: not a golden batch: {error}"
        raise BundleError(msg) from error
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
