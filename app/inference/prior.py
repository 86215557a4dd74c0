"""Draws latents from a model's prior, by seed and row."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Protocol

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


class Prior(Protocol):
    """Latents by seed and row: row i of a seed is the same in every request and batch."""

    def take(self, temperature: float) -> tuple[int, Floats]:
        """Returns a new seed and its row 0, float32 [1, *shape], for a request without a seed."""

    def draw(self, seeds: Sequence[int], rows: Sequence[int], temperatures: Floats) -> Floats:
        """Latents float32 [n, *shape], row `rows[i]` of `seeds[i]`.

        `temperatures` [n] scale the deviation from the centre, which is 0 or the mean of the
        component that the row draws.
        """


def prior_of(mixture: Mixture | None, shape: Sequence[int]) -> Prior:
    """Returns the mixture as a prior, or N(0, I) without a mixture."""
    return NormalPrior(shape) if mixture is None else MixturePrior(mixture, shape)


class NormalPrior:
    """z ~ N(0, temperature² I).

    `take` draws many new seeds at once, because a row alone takes ten times as long as a row among
    many; most of that is NumPy's overhead for each call.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._ahead = _AHEAD if math.prod(shape) <= _LARGEST else 1
        self._drawn: list[tuple[int, Floats]] = []

    def take(self, temperature: float) -> tuple[int, Floats]:
        if not self._drawn:
            seeds = [draw_seed() for _ in range(self._ahead)]
            rows = noise.standard_normal_rows(seeds, [0] * len(seeds), Purpose.PRIOR, self._shape)
            self._drawn = list(zip(seeds, np.split(rows, len(seeds)), strict=True))
        seed, normal = self._drawn.pop()
        return seed, normal * np.float32(temperature)

    def draw(self, seeds: Sequence[int], rows: Sequence[int], temperatures: Floats) -> Floats:
        normal = noise.standard_normal_rows(seeds, rows, Purpose.PRIOR, self._shape)
        return normal * temperatures.reshape(-1, *(1 for _ in self._shape))


class MixturePrior:
    """z = mean + temperature · scale · ε of the component that a row draws."""

    def __init__(self, mixture: Mixture, shape: Sequence[int]) -> None:
        self._mixture = mixture
        self._shape = tuple(shape)

    def take(self, temperature: float) -> tuple[int, Floats]:
        seed = draw_seed()
        return seed, self.draw((seed,), (0,), np.array([temperature], np.float32))

    def draw(self, seeds: Sequence[int], rows: Sequence[int], temperatures: Floats) -> Floats:
        return self._mixture.draw(seeds, rows, temperatures, self._shape)
