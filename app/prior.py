"""Latents of the prior, drawn ahead for callers who want one picture and send no seed."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np

from model import noise
from model.noise import MAX_SEED, Purpose
from model.pixels import Floats

_AHEAD = 32
_LARGEST = 256
"""Values of a latent above which drawing many at once would hold up the event loop."""


def draw_seed() -> int:
    """A seed for a caller who sent none."""
    return secrets.randbelow(MAX_SEED + 1)


class Prior:
    """Seeds, each with its row 0: the same latent that whoever sends the seed gets.

    To draw a row alone takes ten times as long as a row among many, most of it in NumPy's calls.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._ahead = _AHEAD if math.prod(shape) <= _LARGEST else 1
        self._drawn: list[tuple[int, Floats]] = []

    def take(self) -> tuple[int, Floats]:
        """A fresh seed and its z ~ N(0, I), float32 [1, *shape]."""
        if not self._drawn:
            seeds = [draw_seed() for _ in range(self._ahead)]
            rows = noise.standard_normal_rows(seeds, [0] * len(seeds), Purpose.PRIOR, self._shape)
            self._drawn = list(zip(seeds, np.split(rows, len(seeds)), strict=True))
        return self._drawn.pop()
