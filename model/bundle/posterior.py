"""Where images lie in the latent space: posterior means of images that were not trained on.

`posterior.npz` in a bundle holds `mean` [n, *latent_shape], float32 or, where latents are large,
float16, and `label` [n], integers that number the classes, or −1 for none. The manifest's
`posterior` says what the images are. The latents are the model's own, not scaled as served.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.bundle.measured import IMAGES as IMAGES
from model.bundle.measured import PosteriorSpec
from model.files import check_array, read_arrays, write_arrays
from model.pixels import Floats

POSTERIOR = "posterior.npz"
LARGEST = 2_560_000
"""Bytes that the means take at most: 5,000 of 128 float32, or of 256 float16."""
NO_LABEL = -1

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Posterior:
    """The stored means, float32 [n, *latent_shape], and labels [n], which may be `NO_LABEL`."""

    spec: PosteriorSpec
    means: Floats
    labels: Labels


def storable(available: int, values: int) -> int:
    """How many of `available` means, each of so many values, there is room for."""
    return min(available, IMAGES, max(1, LARGEST // (np.dtype(np.float16).itemsize * values)))


def write_posterior(means: Floats, labels: Labels) -> bytes:
    """The content of `posterior.npz`: means in float32 if there is room, else in float16."""
    stored = means if means.nbytes <= LARGEST else means.astype(np.float16)
    return write_arrays({"mean": stored, "label": labels.astype(np.int64)})


def parse_posterior(
    content: bytes, spec: PosteriorSpec, latent_shape: tuple[int, ...]
) -> Posterior:
    """Reads `posterior.npz`; nothing in it is unpickled.

    Raises:
        ValueError: it is damaged, or not what `spec` and the model's latents say.
    """
    values = math.prod(latent_shape)
    if spec.n > storable(spec.n, values):
        msg = (
            f"has {spec.n} means of {values} values, at most {storable(spec.n, values)} are allowed"
        )
        raise ValueError(msg)
    room = spec.n * (values * np.dtype(np.float64).itemsize + np.dtype(np.int64).itemsize)
    arrays = read_arrays(content, ("mean", "label"), room)
    means, labels = arrays["mean"], arrays["label"]
    check_array("mean", means, ("float32", "float16"), (spec.n, *latent_shape))
    check_array("label", labels, ("int64", "int32", "int16", "int8"), (spec.n,))
    if means.dtype == np.float32 and means.nbytes > LARGEST:
        msg = f"mean has {means.nbytes} bytes, more than {LARGEST} are stored as float16"
        raise ValueError(msg)
    if labels.min() < NO_LABEL or labels.max() >= len(spec.classes):
        raise ValueError(f"label must be {NO_LABEL} … {len(spec.classes) - 1}")
    return Posterior(spec, means.astype(np.float32), labels.astype(np.int64))
