"""Draws latents from a model's prior, by seed and row."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np

from model import noise
from model.noise import MAX_SEED, Purpose
from model.pixels import Floats
from model.prior.mixture import Mixture

_AHEAD = 32
_LARGEST = 256
"""Size of a latent above which drawing many at once would block the event loop."""


def draw_seed() -> int:
    """Returns a random seed, for a request without one."""
    return secrets.randbelow(MAX_SEED + 1)


class Prior:
    """Latents by seed and row: row i of a seed is the same in every request and batch.

    Args:
        shape: of a latent.
        mixture: the prior; None for N(0, I).
    """

    def __init__(self, shape: Sequence[int], mixture: Mixture | None = None) -> None:
        self._shape = tuple(shape)
        self._mixture = mixture
        self._ahead = _AHEAD if math.prod(shape) <= _LARGEST else 1
        self._drawn: list[tuple[int, Floats]] = []

    def take(self, temperature: float) -> tuple[int, Floats]:
        """Returns a new seed and its row 0, float32 [1, *shape], for a request without a seed.

        Many new seeds of N(0, I) are drawn at once, because a row alone takes ten times as long as
        a row among many; most of that is NumPy's overhead for each call.
        """
        if self._mixture is not None:
            seed = draw_seed()
            return seed, self.draw((seed,), (0,), np.array([temperature], np.float32))
        if not self._drawn:
            seeds = [draw_seed() for _ in range(self._ahead)]
            rows = noise.standard_normal_rows(seeds, [0] * len(seeds), Purpose.PRIOR, self._shape)
            self._drawn = list(zip(seeds, np.split(rows, len(seeds)), strict=True))
        seed, normal = self._drawn.pop()
        return seed, normal * np.float32(temperature)

    def draw(self, seeds: Sequence[int], rows: Sequence[int], temperatures: Floats) -> Floats:
        """Latents float32 [n, *shape], row `rows[i]` of `seeds[i]`.

        `temperatures` [n] scale the deviation from the centre, which is 0 or the mean of the
        component that the row draws.
        """
        if self._mixture is not None:
            return self._mixture.draw(seeds, rows, temperatures, self._shape)
        normal = noise.standard_normal_rows(seeds, rows, Purpose.PRIOR, self._shape)
        return normal * temperatures.reshape(-1, *(1 for _ in self._shape))
