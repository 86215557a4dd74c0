"""The rows that `/sample` draws: from the prior, or around one latent.

Around a latent, row i is z_i = center + spread · ε_i, with the very ε_i that row i of the seed has
as a draw from the prior. Around the zero latent, a radius is therefore a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.calls import Answer
from app.engine import Engine
from app.offload import Offload
from app.programs import draws
from app.timing import Timing
from model import noise
from model.noise import Purpose
from model.pixels import Floats, Images


@dataclass(frozen=True, slots=True)
class Around:
    """Where to draw: `center` and `spread`, each float32 [*latent_shape]."""

    center: Floats
    spread: Floats
    """Standard deviation of each value: the radius times its unit."""
    radius: float
    unit: Literal["posterior", "prior"]
    """What a radius of 1 is: the posterior's standard deviation, or the prior's, which is 1."""


@dataclass(frozen=True, slots=True)
class Near:
    """What to draw around, and how far: one of latent and picture is there."""

    radius: float
    latent: Floats | None = None
    """float32 [*latent_shape]"""
    images: Images | None = None
    """uint8 [1, h, w, c]"""

    @property
    def rows(self) -> int:
        """How many rows it takes to find out where that is."""
        return 0 if self.images is None else len(self.images)

    async def find(self, engine: Engine, timing: Timing) -> Around:
        """A bare latent has the prior's unit alone; around a picture, a radius of 1 draws from
        its posterior."""
        if self.images is None:
            assert self.latent is not None  # noqa: S101 one of the two is there
            spread = np.full_like(self.latent, self.radius)
            return Around(self.latent, spread, self.radius, "prior")
        mean, logvar = timing.add(await engine.encode(self.images)).outputs
        spread = np.float32(self.radius) * np.exp(logvar[0] / 2)
        return Around(mean[0], spread, self.radius, "posterior")


@dataclass(frozen=True, slots=True)
class Drawing:
    """The rows of one seed."""

    engine: Engine
    seed: int
    temperature: float
    around: Around | None
    offload: Offload

    async def rows(self, first: int, count: int) -> Answer:
        """Rows first … first + count − 1: pictures uint8 [count, h, w, c], bool [count] that each
        consists of finite numbers, and latents float32 [count, *latent_shape]."""
        if self.around is None:
            return await self.engine.sample(draws(self.seed, count, self.temperature, first))
        size = count * self.around.center.size
        latents = await self.offload(size, _draw, self.around, self.seed, first, count)
        answer = await self.engine.decode(latents)
        return Answer((*answer.outputs, latents), answer.queue_seconds, answer.run_seconds)


def _draw(around: Around, seed: int, first: int, count: int) -> Floats:
    epsilon = noise.standard_normal(seed, Purpose.PRIOR, first, count, around.center.shape)
    latents: Floats = around.center + around.spread * epsilon
    return latents
