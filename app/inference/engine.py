"""A served bundle: a batcher for everything that its two graphs compute."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable

from app.errors import ShuttingDownError
from app.inference.batcher import BatchReport, MicroBatcher, Run
from app.inference.executor import Lanes
from app.inference.loader import Loaded
from app.inference.pipelines import DRAW_SHAPE, Pipelines
from app.inference.prior import Prior
from model.bundle.manifest import Manifest

Observer = Callable[[str], Callable[[BatchReport], None]]
"""The name of a pipeline → what is called with the report of each of its batches."""


class Engine:
    """A served bundle, with a batcher for each method of `app.inference.pipelines`."""

    def __init__(self, loaded: Loaded, shared: Lanes, observer: Observer) -> None:
        self.bundle = loaded.bundle
        self.name, self.version = loaded.name, loaded.version
        self.identity = f"{self.name}/{self.version}"
        self.provider = loaded.provider
        self.row_pixels = self.manifest.input.height * self.manifest.input.width
        """What one row costs where its size is the model's own: its pixels."""
        self.prior = Prior(self.manifest.latent.shape, self.bundle.mixture)
        self._own_lanes = Lanes(1) if loaded.own_lane else None
        if self._own_lanes:
            # Without joining: a batch of a caller who has left may still be running.
            weakref.finalize(self, self._own_lanes.close, join=False).atexit = False
        self._verbs = 0
        self._closing = False
        self._unused = asyncio.Event()
        self._unused.set()
        # The batchers hold no reference to the engine, so the last reference outside frees it.
        run, spec = Pipelines(loaded, self.prior), self.manifest.input
        lanes = self._own_lanes or shared
        work_clock = time.perf_counter if self._own_lanes else time.thread_time

        def batcher(
            name: str, pipeline: Run, shape: tuple[int, ...], seconds: float
        ) -> MicroBatcher:
            return MicroBatcher(
                pipeline,
                lanes,
                seconds_per_row={shape: seconds},
                observe=observer(name),
                work_clock=work_clock,
            )

        image = (spec.height, spec.width, spec.channels)
        floats = (spec.channels, spec.height, spec.width)
        latent = self.manifest.latent.shape
        to_latents, to_images = loaded.encoder_row_seconds, loaded.decoder_row_seconds
        both = to_latents + to_images
        self.encode = batcher("encode", run.encode, image, to_latents)
        self.decode = batcher("decode", run.decode, latent, to_images)
        self.sample = batcher("sample", run.sample, DRAW_SHAPE, to_images)
        self.reconstruct = batcher("reconstruct", run.reconstruct, image, both)
        self.params = batcher("params", run.params, latent, to_images)
        self.encode_floats = batcher("encode_floats", run.encode_floats, floats, to_latents)
        self.decode_floats = batcher("decode_floats", run.decode_floats, latent, to_images)
        # Of the Open Inference Protocol, whose statistics count these batches alone.
        self.encode_tensors = batcher("encode_tensors", run.encode_floats, floats, to_latents)
        self.decode_tensors = batcher("decode_tensors", run.decode_tensors, latent, to_images)
        self.reconstruct_tensors = batcher(
            "reconstruct_tensors", run.reconstruct_tensors, floats, both
        )

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    def begin(self) -> None:
        """Counts a verb that uses the engine until `end`, so that closing waits for all its stages.

        Raises:
            ShuttingDownError: the engine is closing.
        """
        if self._closing:
            raise ShuttingDownError(f"{self.identity} is closing; try again", retry_after=1)
        self._verbs += 1
        self._unused.clear()

    def end(self) -> None:
        """Marks the end of a verb that called `begin`."""
        self._verbs -= 1
        if not self._verbs:
            self._unused.set()

    async def drain(self) -> None:
        """Returns when no verb uses the engine.

        It refuses nothing: a request that found the engine before it was replaced and is still
        reading its body gets its answer. The last reference frees the sessions.
        """
        await self._unused.wait()

    async def close(self) -> None:
        """Waits for every verb that uses the engine, then ends the engine's own threads."""
        self._closing = True
        await self.drain()
        if self._own_lanes:
            self._own_lanes.close()
