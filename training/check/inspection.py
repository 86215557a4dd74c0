"""What a set of images holds, seen as the encoder will see it: counts, kinds and oddities."""

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

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(name)


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
    lowest: NDArray[np.uint8] | None = None
    """By value of an image, over all of them; and the highest."""
    highest: NDArray[np.uint8] | None = None

    @property
    def is_binary(self) -> bool:
        return bool(self.values) and self.extremes == self.values

    @property
    def is_near_binary(self) -> bool:
        return bool(self.values) and self.near_extremes >= NEAR_BINARY * self.values

    @property
    def constant_pixels(self) -> int:
        """How many values are the same in every image."""
        if self.lowest is None or self.highest is None:
            return 0
        return int((self.lowest == self.highest).sum())

    def odd(self, what: str, name: str) -> None:
        """Notes that image `name` is odd."""
        self.findings.setdefault(what, Finding()).add(name)


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
    if found.lowest is None or found.highest is None:
        found.lowest, found.highest = pixels.copy(), pixels.copy()
    else:
        np.minimum(found.lowest, pixels, out=found.lowest)
        np.maximum(found.highest, pixels, out=found.highest)


def _oddities(outcome: fitting.Fitted, spec: InputSpec) -> list[str]:
    width, height = outcome.width, outcome.height
    odd = {
        "smaller than the model, so enlarged": min(width, height) < min(spec.width, spec.height),
        f"longer than {_LONG:g} times their width or height, so mostly cropped away": (
            max(width, height) > _LONG * min(width, height)
        ),
        "of one colour all over": bool((outcome.pixels == outcome.pixels[0, 0]).all()),
        "turned by their EXIF orientation": any("EXIF" in step for step in outcome.steps),
        "transparent, so laid on the background": any(
            step.startswith("transparency") for step in outcome.steps
        ),
        "animated, so only their first frame": "first frame taken" in outcome.steps,
        "of 16 bits, so scaled to 8": "16 bits scaled to 8" in outcome.steps,
    }
    return [what for what, is_so in odd.items() if is_so]
