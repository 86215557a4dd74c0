"""Where the images of `/sample` are drawn, and the windows in which many of them are computed.

Around a latent, row i is z_i = center + spread · ε_i, where ε_i is the noise of row i of the seed.
Draws from the prior use the same ε_i, so around the zero latent a radius is a temperature.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from app.concurrency import Offload
from app.inference import validation
from app.inference.batch import Outcome, Timing
from app.inference.engine import Engine
from app.inference.pipelines import draws
from model import noise
from model.bundle.manifest import Manifest
from model.noise import Purpose
from model.pixels import Floats, Images

Window = TypeVar("Window")

WINDOW_ROWS = 256
WINDOW_PIXELS = 256 * 1024
"""A window has as many rows as fit in both limits, and at least one."""
HELD_WINDOWS = 2
"""A stream holds the window being computed and the one being sent."""


@dataclass(frozen=True, slots=True)
class Center:
    """The latent to draw around: `latent` and `spread`, each float32 [*latent_shape]."""

    latent: Floats
    spread: Floats
    """Standard deviation of each value: the radius times its unit."""
    radius: float
    unit: Literal["posterior", "prior"]
    """What a radius of 1 means: the posterior's standard deviation, or the prior's, which is 1."""


@dataclass(frozen=True, slots=True)
class FromPrior:
    """Draws from the model's prior.

    Args:
        temperature: scales the deviation from the prior's centre.
        height, width: of the images, for models that take many sizes; by default the model's own.
    """

    temperature: float = 1.0
    height: int | None = None
    width: int | None = None

    encoded_rows = 0
    blamed_field = None

    def size(self, manifest: Manifest) -> validation.Size:
        """The images' height and width.

        Raises:
            InvalidFieldError: the model does not draw images of this size.
        """
        return validation.chosen(manifest, self.height, self.width)

    def sized(self, engine: Engine) -> bool:
        """Whether the draws have a size of their own: the model takes many."""
        return engine.manifest.input.sizes is not None

    async def locate(self, engine: Engine, timing: Timing) -> Center | None:
        """None, or for models of many sizes the zero latent of this size.

        The rows that `Engine.sample` takes don't state a size, so those models decode latents.
        """
        if not self.sized(engine):
            return None
        zero = np.zeros(engine.manifest.latent_shape(*self.size(engine.manifest)), np.float32)
        return Center(zero, np.full_like(zero, self.temperature), self.temperature, "prior")


@dataclass(frozen=True, slots=True)
class AroundLatent:
    """Draws around a latent float32 [*latent_shape], at a radius in units of the prior."""

    latent: Floats
    radius: float = 1.0

    encoded_rows = 0
    blamed_field = "latents_near"

    def size(self, manifest: Manifest) -> validation.Size:
        """The images' height and width.

        Raises:
            InvalidFieldError: the model does not decode latents of this shape.
        """
        return validation.of_latents(manifest, self.latent.shape, field="latents_near")

    async def locate(self, engine: Engine, timing: Timing) -> Center:
        """The latent itself."""
        spread = np.full_like(self.latent, self.radius)
        return Center(self.latent, spread, self.radius, "prior")


@dataclass(frozen=True, slots=True)
class AroundImage:
    """Draws around an image's posterior mean, the image being uint8 [1, h, w, c]; a radius of 1
    draws from its posterior."""

    images: Images
    radius: float = 1.0

    encoded_rows = 1

    @property
    def blamed_field(self) -> str | None:
        """The radius is at fault for non-finite pixels, unless it is 0."""
        return "radius" if self.radius else None

    def size(self, manifest: Manifest) -> validation.Size:
        """The image's height and width."""
        _, height, width, _ = self.images.shape
        return height, width

    async def locate(self, engine: Engine, timing: Timing) -> Center:
        """The image's posterior mean, found with the engine."""
        mean, logvar = timing.add(await engine.encode(self.images)).outputs
        spread = np.float32(self.radius) * np.exp(logvar[0] / 2)
        return Center(mean[0], spread, self.radius, "posterior")


SampleSource = FromPrior | AroundLatent | AroundImage


@dataclass(frozen=True, slots=True)
class Drawing:
    """The rows of one seed from one source."""

    engine: Engine
    offload: Offload
    seed: int
    source: SampleSource
    center: Center | None
    timing: Timing

    async def window(self, first: int, stop: int) -> tuple[Images, Floats]:
        """Rows first … stop − 1: images uint8 [w, h, w, c] and latents float32 [w, *latent_shape].

        Raises:
            InvalidFieldError: the caller's latent or radius decodes to non-finite pixels.
            EngineFailedError: the model's own latents do.
        """
        answer = self.timing.add(await self._rows(first, stop - first))
        images, finite, latents = answer.outputs
        validation.check_finite(finite, self.source.blamed_field, first)
        return images, latents

    async def _rows(self, first: int, count: int) -> Outcome:
        if self.center is None:
            assert isinstance(self.source, FromPrior)  # noqa: S101 the others have a centre
            return await self.engine.sample(draws(self.seed, count, self.source.temperature, first))
        size = count * self.center.latent.size
        latents = await self.offload(size, _draw, self.center, self.seed, first, count)
        answer = await self.engine.decode(latents)
        return Outcome((*answer.outputs, latents), answer.queue_seconds, answer.run_seconds)


def _draw(center: Center, seed: int, first: int, count: int) -> Floats:
    epsilon = noise.standard_normal(seed, Purpose.PRIOR, first, count, center.latent.shape)
    latents: Floats = center.latent + center.spread * epsilon
    return latents


def window_rows(pixels: int, capacity: int) -> int:
    """How many rows of `pixels` each a window has, where the admission holds `capacity` pixels."""
    fitting = min(WINDOW_PIXELS, capacity // HELD_WINDOWS) // pixels
    return max(1, min(WINDOW_ROWS, fitting))


async def split(images: Images) -> AsyncGenerator[Images, None]:
    """Computed images uint8 [n, h, w, c], window by window."""
    size = max(1, WINDOW_PIXELS // math.prod(images.shape[1:3]))
    for first in range(0, len(images), size):
        yield images[first : first + size]


async def one_ahead(
    window: Callable[[int, int], Coroutine[Any, Any, Window]], n: int, size: int
) -> AsyncGenerator[Window, None]:
    """Windows of rows 0 … n − 1 in order; the next is computed while one is in use."""
    coming: asyncio.Task[Window] | None = None
    try:
        for first in range(0, n, size):
            done = await (coming or window(first, min(first + size, n)))
            after = first + size
            coming = None
            if after < n:
                coming = asyncio.create_task(window(after, min(after + size, n)))
            yield done
    finally:
        if coming is not None:
            coming.cancel()
            # Gathered, not awaited: a cancellation of this task in the meantime must stay one.
            await asyncio.gather(coming, return_exceptions=True)
