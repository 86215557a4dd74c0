"""Where the images of `/sample` are drawn.

Around a latent, row i is z_i = center + spread · ε_i, where ε_i is the noise of row i of the seed.
Draws from the prior use the same ε_i, so around the zero latent a radius is a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.concurrency import Offload
from app.inference import validation
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.inference.pipelines import draws
from app.inference.windows import Window
from model import noise
from model.bundle.manifest import Manifest
from model.noise import Purpose
from model.pixels import Floats, Images


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

    async def window(self, first: int, stop: int) -> Window:
        """Rows first … stop − 1: images uint8 [w, h, w, c] and latents float32 [w, *latent_shape].

        Raises:
            InvalidFieldError: the caller's latent or radius decodes to non-finite pixels.
            EngineFailedError: the model's own latents do.
        """
        count = stop - first
        if self.center is None:
            assert isinstance(self.source, FromPrior)  # noqa: S101 the others have a centre
            rows = draws(self.seed, count, self.source.temperature, first)
            images, finite, latents = self.timing.add(await self.engine.sample(rows)).outputs
        else:
            latents = await self.offload(
                count * self.center.latent.size, _draw, self.center, self.seed, first, count
            )
            images, finite = self.timing.add(await self.engine.decode(latents)).outputs
        validation.check_finite(finite, self.source.blamed_field, first)
        return images, latents


def _draw(center: Center, seed: int, first: int, count: int) -> Floats:
    epsilon = noise.standard_normal(seed, Purpose.PRIOR, first, count, center.latent.shape)
    latents: Floats = center.latent + center.spread * epsilon
    return latents
