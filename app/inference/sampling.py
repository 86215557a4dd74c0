"""The rows that `/sample` draws: from the prior, or around one latent.

Around a latent, row i is z_i = center + spread · ε_i, with the very ε_i that row i of the seed has
as a draw from the prior. Around the zero latent, a radius is therefore a temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import validation
from app.inference.batch import Answer
from app.inference.engine import Engine
from app.inference.pipelines import draws
from app.inference.timing import Timing
from model import noise
from model.bundle.manifest import Manifest
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
    """What to draw around, and how far: one of latent and image is there."""

    radius: float
    latent: Floats | None = None
    """float32 [*latent_shape]"""
    images: Images | None = None
    """uint8 [1, h, w, c]"""

    @property
    def rows(self) -> int:
        """How many rows it takes to find out where that is."""
        return 0 if self.images is None else len(self.images)

    @property
    def blamed(self) -> str | None:
        """The field at fault for rows that are no numbers; none at an image's mean itself."""
        if self.images is None:
            return "latents_near"
        return "radius" if self.radius else None

    def size(self, manifest: Manifest) -> validation.Size:
        """Height and width of what is there.

        Raises:
            InvalidFieldError: the model does not decode latents of that shape.
        """
        if self.images is not None:
            _, height, width, _ = self.images.shape
            return height, width
        assert self.latent is not None  # noqa: S101 one of the two is there
        return validation.of_latents(manifest, self.latent.shape, field="latents_near")

    async def find(self, engine: Engine, timing: Timing) -> Around:
        """A bare latent has the prior's unit alone; around an image, a radius of 1 draws from
        its posterior."""
        if self.images is None:
            assert self.latent is not None  # noqa: S101 one of the two is there
            spread = np.full_like(self.latent, self.radius)
            return Around(self.latent, spread, self.radius, "prior")
        mean, logvar = timing.add(await engine.encode(self.images)).outputs
        spread = np.float32(self.radius) * np.exp(logvar[0] / 2)
        return Around(mean[0], spread, self.radius, "posterior")


@dataclass(frozen=True, slots=True)
class Place:
    """The size of the images that a request draws, and what it takes to find the first latent."""

    size: validation.Size
    rows: int
    """Rows that run before the first is drawn."""

    @staticmethod
    def of(manifest: Manifest, near: Near | None, height: int | None, width: int | None) -> Place:
        """That of what is near, or of the height and width that are asked for.

        Raises:
            InvalidFieldError: there are both, or the model does not take this size.
        """
        if near is None:
            return Place(validation.chosen(manifest, height, width), 0)
        for field, length in (("height", height), ("width", width)):
            if length is not None:
                msg = f"{field} is for draws from the prior; near something, images have its size"
                raise InvalidFieldError(msg, field=field)
        return Place(near.size(manifest), near.rows)

    @property
    def pixels(self) -> int:
        """What a row costs."""
        return math.prod(self.size)

    def cost(self, n: int) -> int:
        """Pixels of n images and of what runs before them."""
        return (n + self.rows) * self.pixels


@dataclass(frozen=True, slots=True)
class Drawing:
    """The rows of one seed."""

    engine: Engine
    seed: int
    temperature: float
    around: Around | None
    place: Place
    offload: Offload

    async def rows(self, first: int, count: int) -> Answer:
        """Rows first … first + count − 1: images uint8 [count, h, w, c], bool [count] that each
        consists of finite numbers, and latents float32 [count, *latent_shape]."""
        around = self.around or self._around_zero()
        if around is None:
            return await self.engine.sample(draws(self.seed, count, self.temperature, first))
        size = count * around.center.size
        latents = await self.offload(size, _draw, around, self.seed, first, count)
        answer = await self.engine.decode(latents)
        return Answer((*answer.outputs, latents), answer.queue_seconds, answer.run_seconds)

    def _around_zero(self) -> Around | None:
        """The prior of a model of many sizes: rows of one batch have one shape, and the rows that
        `Engine.sample` takes don't tell theirs."""
        manifest = self.engine.manifest
        if manifest.input.sizes is None:
            return None
        zero = np.zeros(manifest.latent_shape(*self.place.size), np.float32)
        spread = np.full_like(zero, self.temperature)
        return Around(zero, spread, self.temperature, "prior")


def _draw(around: Around, seed: int, first: int, count: int) -> Floats:
    epsilon = noise.standard_normal(seed, Purpose.PRIOR, first, count, around.center.shape)
    latents: Floats = around.center + around.spread * epsilon
    return latents
