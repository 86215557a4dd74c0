"""The bounds of images that a model was not trained on: what an image's bound is compared with.

`reference.npz` in a bundle holds a sorted array of importance-weighted bounds for each way of
making images binary; the manifest's `reference` says what they are of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.bundle.manifest import Binarisation, ReferenceSpec
from model.files import check_array, read_arrays, write_arrays
from model.likelihood.bounds import Nats

REFERENCE = "reference.npz"
LARGEST = 1 << 28
"""Bytes that all bounds take at most."""

SAMPLES = 64
"""K of the stored bounds, and of `/score` where the caller does not say: only bounds of the same
K are comparable, as they rise with it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The stored bounds, each array sorted, float64 [n] in nats."""

    spec: ReferenceSpec
    bounds: Mapping[Binarisation, Nats]

    def percentiles(self, values: Nats, how: Binarisation, samples: int) -> Nats | None:
        """Percentage of the stored bounds below each of `values` [n], 0 … 100.

        Equal bounds count half. None if no stored bounds have this binarisation and number of
        samples.
        """
        stored = self.bounds.get(how)
        if stored is None or samples != self.spec.samples:
            return None
        below = np.searchsorted(stored, values, "left") + np.searchsorted(stored, values, "right")
        return np.asarray(below * (50 / len(stored)), dtype=np.float64)


def write_reference(bounds: Mapping[Binarisation, Nats]) -> bytes:
    """The content of `reference.npz`; `bounds` in any order."""
    return write_arrays(
        {name: np.sort(values.astype(np.float64)) for name, values in bounds.items()}
    )


def parse_reference(content: bytes, spec: ReferenceSpec) -> Reference:
    """Reads `reference.npz`; nothing in it is unpickled.

    Raises:
        ValueError: it is damaged, or not what `spec` says.
    """
    room = spec.n * len(spec.binarised) * np.dtype(np.float64).itemsize
    arrays = read_arrays(content, spec.binarised, min(room, LARGEST))
    for how, values in arrays.items():
        check_array(how, values, ("float64", "float32"), (spec.n,))
        if (np.diff(values) < 0).any():
            raise ValueError(f"{how} should be sorted, and is not")
    bounds = {how: arrays[how].astype(np.float64) for how in spec.binarised}
    return Reference(spec, bounds)
