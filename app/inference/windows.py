"""Answers of many images, computed window by window while earlier windows are sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from model.pixels import Floats, Images

Window = tuple[Images, Floats]
"""Images uint8 [w, h, w, c] with their latents."""
Windows = AsyncGenerator[Window, None]
"""A short answer has one window."""

WINDOW_ROWS = 256
WINDOW_PIXELS = 256 * 1024
"""A window has as many rows as fit in both limits, and at least one."""
HELD_WINDOWS = 2
"""A stream holds the window being computed and the one being sent."""


def window_rows(pixels: int, capacity: int) -> int:
    """How many rows of `pixels` each a window has, where the admission holds `capacity` pixels."""
    fitting = min(WINDOW_PIXELS, capacity // HELD_WINDOWS) // pixels
    return max(1, min(WINDOW_ROWS, fitting))


async def one_ahead(
    window: Callable[[int, int], Coroutine[Any, Any, Window]], n: int, size: int
) -> Windows:
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


async def whole(windows: Windows) -> Window:
    """The images and latents of a short answer, which has one window."""
    (window,) = [window async for window in windows]
    return window


async def images_of(windows: Windows) -> AsyncGenerator[Images, None]:
    """The images of the windows alone."""
    async with aclosing(windows):
        async for images, _ in windows:
            yield images


async def split(images: Images) -> AsyncGenerator[Images, None]:
    """Computed images uint8 [n, h, w, c], window by window."""
    size = max(1, WINDOW_PIXELS // math.prod(images.shape[1:3]))
    for first in range(0, len(images), size):
        yield images[first : first + size]
