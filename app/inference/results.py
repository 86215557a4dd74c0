"""What the verbs of `app.inference.service` return."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from app.inference.likelihood_bounds import Bounds
from app.inference.sampling import Center
from model.likelihood.bounds import Nats
from model.pixels import Floats, Images

Windows = AsyncGenerator[tuple[Images, Floats], None]
"""Images uint8 [w, h, w, c] with their latents, window by window; a short answer has one window."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Drawn images, and the seed that was used."""

    windows: Windows
    seed: int
    center: Center | None
    """What they were drawn around; None for draws from the prior."""


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """Decoded posterior means, with each image's squared error and KL in nats."""

    images: Images
    mean: Floats
    squared_error: Nats
    kl: Nats | None
    """None for a mixture prior, which has no closed form."""
    bounds: Bounds | None


async def whole(windows: Windows) -> tuple[Images, Floats]:
    """The images and latents of a short answer, which has one window."""
    (window,) = [window async for window in windows]
    return window


async def images_of(windows: Windows) -> AsyncGenerator[Images, None]:
    """The images of the windows alone."""
    async with aclosing(windows):
        async for images, _ in windows:
            yield images
