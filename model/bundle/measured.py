"""The parts of a bundle's manifest that say what was measured, and on which images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from model.config import Binarisation, Frozen

ClassName = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Without control characters, as it is shown in pages and terminals."""

IMAGES = 5000
"""How many images there are posterior means of, at most."""


class Metric(Frozen):
    """A metric and how it was measured; log-likelihoods are in nats."""

    value: float
    standard_error: float | None = None
    n: PositiveInt
    """Number of images."""
    samples: PositiveInt | None = None
    """K, the number of importance samples of each image."""
    seeds: Mapping[str, int] = {}
    note: str | None = None


class HeldOutSpec(Frozen):
    """Images that a model was not trained on."""

    split: str
    """Which images, such as `validation` or `test`."""
    fingerprint: str
    """Of the split of the source that they are from, as `DataSpec` has it."""
    n: PositiveInt
    """Number of images."""


class ReferenceSpec(HeldOutSpec):
    """What the bounds in `reference.npz` are of, sorted arrays [n] by `Binarisation`.

    Importance-weighted bounds of images that the model was not trained on, computed from the
    bundle's graphs: what an image's bound is compared with.
    """

    samples: PositiveInt
    """K, the number of importance samples of each image."""
    seed: NonNegativeInt
    """Of the binarisation and the samples; image i's follow from (seed, i)."""
    binarised: tuple[Binarisation, ...]


class PosteriorSpec(HeldOutSpec):
    """What the means in `posterior.npz` are of: images that the model was not trained on.

    The encoder gets the images as they are, as in `/encode`, without binarisation.
    """

    n: Annotated[int, Field(gt=0, le=IMAGES)]
    """Number of images, evenly chosen from the split."""
    classes: Annotated[tuple[ClassName, ...], Field(max_length=10_000)] = ()
    """Names of the classes that labels number from 0; empty where the images have no labels."""
