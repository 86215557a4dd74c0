"""The verbs whose answers are streamed: images window by window, whatever n is.

A stream takes a permit for the windows that it holds, one that is computed and one that is on its
way out, and keeps it from its first row to its last. Small requests take turns with it as with any
other caller of the batchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from app.concurrency import Offload
from app.inference import validation
from app.inference.checks import check_count, check_finite
from app.inference.engine import Engine
from app.inference.permit import Permit
from app.inference.prior import draw_seed
from app.inference.sampling import Around, Drawing, Near, Place
from app.inference.timing import Timing
from model.pixels import Floats, Images

WINDOW_ROWS = 256
WINDOW_PIXELS = 256 * 1024
"""A window has as many rows as fit in both, and at least one."""
_HELD = 2


@dataclass(frozen=True, slots=True)
class Drawn:
    """A stream of images, windows uint8 [w, h, w, c], and where they were drawn."""

    windows: AsyncGenerator[Images, None]
    seed: int
    around: Around | None
    timing: Timing
    """Of the windows so far."""


@dataclass(frozen=True, slots=True)
class DecodedStream:
    """A stream of images, windows uint8 [w, h, w, c]."""

    windows: AsyncGenerator[Images, None]
    timing: Timing
    """Of the windows so far."""


class Streams:
    """The streamed verbs of one process.

    Args:
        offload: runs array work beside the graphs.
        capacity: pixels that the admission holds, which windows must fit in.
        max_n: most latents that one call may decode.
        max_stream_n: most images that one call may sample.
    """

    def __init__(self, offload: Offload, *, capacity: int, max_n: int, max_stream_n: int) -> None:
        self._offload = offload
        self._capacity = capacity
        self._max_n = max_n
        self._max_stream_n = max_stream_n

    async def sample(
        self,
        engine: Engine,
        permit: Permit,
        *,
        n: int,
        seed: int | None,
        temperature: float,
        near: Near | None,
        height: int | None = None,
        width: int | None = None,
    ) -> Drawn:
        """The images that `Service.sample` draws, n of them or more; arguments as there.

        Raises:
            InvalidFieldError: n is out of range, or height and width are not of the model.
            ServiceError: as the permit and the batchers raise; the windows raise the same.
        """
        check_count(n, "n", self._max_stream_n)
        place = Place.of(engine.manifest, near, height, width)
        # The image to draw around is a row too, encoded before the others.
        size = self._take(engine, permit, n + place.rows, place.pixels)
        timing = Timing()
        around = await near.find(engine, timing) if near else None
        seed = draw_seed() if seed is None else seed
        drawing = Drawing(engine, seed, temperature, around, place, self._offload)

        async def window(first: int, stop: int) -> Images:
            answer = timing.add(await drawing.rows(first, stop - first))
            images, finite, _ = answer.outputs
            check_finite(finite, near.blamed if near else None, first)
            return images

        return Drawn(_one_ahead(window, n, size), seed, around, timing)

    def decode(self, engine: Engine, permit: Permit, latents: Floats) -> DecodedStream:
        """The images of latents float32 [n, *latent_shape]; errors as `sample` has them."""
        check_count(len(latents), "latents", self._max_n)
        height, width = validation.of_latents(engine.manifest, latents.shape[1:])
        size = self._take(engine, permit, len(latents), height * width)
        timing = Timing()

        async def window(first: int, stop: int) -> Images:
            answer = timing.add(await engine.decode(latents[first:stop]))
            images, finite = answer.outputs
            check_finite(finite, "latents", first)
            return images

        return DecodedStream(_one_ahead(window, len(latents), size), timing)

    def _take(self, engine: Engine, permit: Permit, rows: int, pixels: int) -> int:
        """Admits a stream of rows of so many pixels, and says how many its windows have."""
        fitting = min(WINDOW_PIXELS, self._capacity // _HELD) // pixels
        size = max(1, min(WINDOW_ROWS, fitting))
        permit.take(engine, min(rows, _HELD * size) * pixels)
        return size


async def in_windows(images: Images) -> AsyncGenerator[Images, None]:
    """Images that are all there, uint8 [n, h, w, c], window by window."""
    size = max(1, WINDOW_PIXELS // (images.shape[1] * images.shape[2]))
    for first in range(0, len(images), size):
        yield images[first : first + size]


async def _one_ahead(
    window: Callable[[int, int], Coroutine[Any, Any, Images]], n: int, size: int
) -> AsyncGenerator[Images, None]:
    """Windows of rows 0 … n − 1 in order; the next is computed while one is worked on."""
    coming: asyncio.Task[Images] | None = None
    try:
        for first in range(0, n, size):
            images = await (coming or window(first, min(first + size, n)))
            after = first + size
            coming = None
            if after < n:
                coming = asyncio.create_task(window(after, min(after + size, n)))
            yield images
    finally:
        if coming is not None:
            coming.cancel()
            # Not awaited itself: a cancel of this task while it ends must stay one.
            await asyncio.gather(coming, return_exceptions=True)
