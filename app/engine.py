"""One served bundle: its two graphs behind batchers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.batcher import BatchReport, MicroBatcher
from app.errors import ShuttingDownError
from app.lanes import Lanes
from app.loader import Loaded
from model.manifest import Manifest
from model.runtime import Graph

Observe = Callable[[str, str, BatchReport], None]
"""Called with the model's name, the batcher's purpose and the report of a batch."""


class Engine:
    """A served bundle.

    `encode` maps images [n, c, h, w] to (mean, logvar); `decode` maps latents to (pixels,);
    `decode_params` maps latents to (params,), which likelihoods are computed from.
    """

    def __init__(self, loaded: Loaded, shared: Lanes, observe: Observe) -> None:
        self.bundle = loaded.bundle
        self.name, self.version = loaded.name, loaded.version
        self.provider = loaded.provider
        self._own_lanes = Lanes(1) if loaded.own_lane else None
        lanes = self._own_lanes or shared
        image_shape = self.manifest.encoder.inputs[0].shape
        latent_shape = self.manifest.latent.shape

        def batcher(
            graph: Graph, outputs: tuple[str, ...], shape: tuple[int, ...], seconds: float
        ) -> MicroBatcher:
            purpose = "+".join(outputs)
            return MicroBatcher(
                lambda rows: graph.run(rows, outputs),
                lanes,
                seconds_per_row={shape: seconds},
                work_clock=time.perf_counter if self._own_lanes else time.thread_time,
                observe=lambda report: observe(self.name, purpose, report),
            )

        self._verbs = 0
        self._closing = False
        self._unused = asyncio.Event()
        self._unused.set()
        encoding, decoding = loaded.encoder_row_seconds, loaded.decoder_row_seconds
        self.encode = batcher(loaded.encoder, ("mean", "logvar"), image_shape, encoding)
        self.decode = batcher(loaded.decoder, ("pixels",), latent_shape, decoding)
        self.decode_params = batcher(loaded.decoder, ("params",), latent_shape, decoding)

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def row_pixels(self) -> int:
        """What one row costs: its pixels."""
        _, height, width = self.manifest.encoder.inputs[0].shape
        return height * width

    @contextmanager
    def use(self) -> Iterator[None]:
        """Held by a verb over all its stages, so that closing does not part them.

        Raises:
            ShuttingDownError: the engine is closing.
        """
        if self._closing:
            msg = f"{self.name}/{self.version} is closing; try again"
            raise ShuttingDownError(msg, retry_after=1)
        self._verbs += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._verbs -= 1
            if not self._verbs:
                self._unused.set()

    async def close(self) -> None:
        """Answers every verb that uses it, then frees the threads that are the engine's own."""
        self._closing = True
        await self._unused.wait()
        await asyncio.gather(self.encode.close(), self.decode.close(), self.decode_params.close())
        if self._own_lanes:
            self._own_lanes.close()
