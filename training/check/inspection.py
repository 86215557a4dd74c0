"""Inspects images as the encoder will see them: counts, kinds and unusual images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.bundle.manifest import InputSpec
from model.images import fitting
from model.images.reading import ImageError
from model.pixels import Images
from training.data.decoded_cache import Recipe, fitted
from training.data.sources import Source
from training.data.splitting import Keys

NEAR_BINARY = 0.75
"""Part of the values near black or white from which images count as drawn in two colours; of
MNIST's it is 0.91."""

_NEAR = 26
_LONG = 3.0
_EXAMPLES = 3
_SHOWN = 64


@dataclass
class Finding:
    """One kind of oddity."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first few images' names."""


@dataclass
class Survey:
    """One split of a source."""

    split: str
    count: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    """Pillow's modes of the files."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Width×height of the files."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """By what is odd, as a text."""
    shown: list[Images] = field(default_factory=list)
    """Up to 64 fitted images, evenly chosen."""
    extremes: int = 0
    """Values of fitted images that are 0 or 255, and of those near them."""
    near_extremes: int = 0
    values: int = 0
    lowest: NDArray[np.uint8] = field(default_factory=lambda: np.array(255, np.uint8))
    """By value of an image, over all of them; and the highest."""
    highest: NDArray[np.uint8] = field(default_factory=lambda: np.array(0, np.uint8))

    @property
    def is_binary(self) -> bool:
        return bool(self.values) and self.extremes == self.values

    @property
    def is_near_binary(self) -> bool:
        return bool(self.values) and self.near_extremes >= NEAR_BINARY * self.values

    @property
    def constant_pixels(self) -> int:
        """How many values are the same in every image."""
        return int((self.lowest == self.highest).sum())

    def odd(self, what: str, name: str) -> None:
        """Notes that image `name` is odd."""
        finding = self.findings.setdefault(what, Finding())
        finding.count += 1
        if len(finding.examples) < _EXAMPLES:
            finding.examples.append(name)


def survey(source: Source, recipe: Recipe, keys: Keys) -> Survey:
    """Looks at every image once and keeps a few; `keys` are those of the source.

    Raises:
        DataError: a file has gone or can't be read.
    """
    found = Survey(source.split, len(source))
    chosen = set(np.linspace(0, len(source), _SHOWN, endpoint=False).astype(int).tolist())
    seen: set[bytes] = set()
    for row, (name, outcome) in enumerate(fitted(source, recipe)):
        key = keys[row].tobytes()
        if key in seen:
            found.odd("exact copies of another image", name)
        seen.add(key)
        if isinstance(outcome, ImageError):
            found.odd("unreadable", f"{name}: {outcome}")
            continue
        _count(found, outcome)
        for what in _oddities(outcome, recipe.input):
            found.odd(what, name)
        if row in chosen:
            found.shown.append(outcome.pixels)
    grey = sum(count for mode, count in found.modes.items() if mode in fitting.GREY_MODES)
    if 0 < grey < sum(found.modes.values()):
        found.findings["grey images among colour ones"] = Finding(grey)
    return found


def overlap(first: Keys, second: Keys) -> int:
    """How many images of the second split are, byte for byte, in the first too."""
    there = {key.tobytes() for key in first}
    return sum(key.tobytes() in there for key in second)


def _count(found: Survey, outcome: fitting.Fitted) -> None:
    pixels = outcome.pixels
    found.modes[outcome.mode] += 1
    found.sizes[f"{outcome.width}×{outcome.height}"] += 1
    found.values += pixels.size
    found.extremes += int(((pixels == 0) | (pixels == 255)).sum())
    found.near_extremes += int(((pixels < _NEAR) | (pixels > 255 - _NEAR)).sum())
    found.lowest = np.minimum(found.lowest, pixels)
    found.highest = np.maximum(found.highest, pixels)


def _oddities(outcome: fitting.Fitted, spec: InputSpec) -> list[str]:
    shorter, longer = sorted((outcome.width, outcome.height))
    steps = "\n".join(outcome.steps)
    odd = {
        "smaller than the model, so enlarged": shorter < min(spec.width, spec.height),
        f"longer than {_LONG:g} times their width or height, so mostly cropped away": (
            longer > _LONG * shorter
        ),
        "of one colour all over": (outcome.pixels == outcome.pixels[0, 0]).all(),
        "turned by their EXIF orientation": "EXIF" in steps,
        "transparent, so laid on the background": "transparency" in steps,
        "animated, so only their first frame": "first frame taken" in steps,
        "of 16 bits, so scaled to 8": "16 bits scaled to 8" in steps,
    }
    return [what for what, is_so in odd.items() if is_so]
