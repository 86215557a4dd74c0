"""The golden batch: outputs of the graphs at their export, and the comparison with them."""

from __future__ import annotations

import numpy as np

from model.bundle.bundle import GOLDEN, Bundle
from model.files import read_arrays
from model.pixels import Floats

NAMES = ("image", "mean", "logvar", "latent", "pixels", "params")
LARGEST = 1 << 30
"""Bytes that its arrays have together at most."""


def read_golden(bundle: Bundle) -> dict[str, Floats]:
    """Reads its arrays by name, float32.

    Raises:
        BundleError: the file is damaged, or has other arrays.
    """
    arrays = bundle.parse(GOLDEN, lambda content: read_arrays(content, NAMES, LARGEST))
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}


def size_of(values: Floats) -> float:
    """The largest absolute value, at least 1; relative tolerances are multiplied by it."""
    return max(1.0, float(np.abs(values).max()))


def compare(found: Floats, expected: Floats, limit: float, reference: str) -> float:
    """Returns the largest absolute difference between two arrays of one shape.

    Args:
        found: the values to check.
        expected: the values that they should have.
        limit: the largest difference allowed.
        reference: where the expected values come from, for the error.

    Raises:
        ValueError: the shapes differ, an array is empty, or a difference is NaN or above `limit`.
    """
    if found.shape != expected.shape or not expected.size:
        raise ValueError(f"has the shape {found.shape}, {reference} has {expected.shape}")
    difference = float(np.abs(found - expected).max())
    if not difference <= limit:
        raise ValueError(f"differs from {reference} by {difference:.3g}, allowed is {limit:.3g}")
    return difference
