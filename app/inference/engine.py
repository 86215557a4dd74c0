"""A served bundle: a batcher for everything that its two graphs compute."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable

from app.errors import ShuttingDownError
from app.inference.batcher import BatchReport, MicroBatcher
from app.inference.executor import Lanes
from app.inference.loader import Loaded
from app.inference.pipelines import pipelines_of
from app.inference.prior import Prior
from model.bundle.manifest import Manifest

Observer = Callable[[str], Callable[[BatchReport], None]]
"""The name of a pipeline → what is called with the report of each of its batches."""


class Engine:
    """A served bundle, with a batcher for each pipeline of `app.inference.pipelines`."""

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
        self._batchers = {
            name: MicroBatcher(
                pipeline.run,
                self._own_lanes or shared,
                seconds_per_row={pipeline.row_shape: pipeline.row_seconds},
                work_clock=time.perf_counter if self._own_lanes else time.thread_time,
                observe=observer(name),
            )
            for name, pipeline in pipelines_of(loaded, self.prior).items()
        }
        self.encode = self._batchers["encode"]
        self.decode = self._batchers["decode"]
        self.sample = self._batchers["sample"]
        self.reconstruct = self._batchers["reconstruct"]
        self.params = self._batchers["params"]
        self.encode_floats = self._batchers["encode_floats"]
        self.decode_floats = self._batchers["decode_floats"]
        self.encode_tensors = self._batchers["encode_tensors"]
        self.decode_tensors = self._batchers["decode_tensors"]
        self.reconstruct_tensors = self._batchers["reconstruct_tensors"]

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
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))
        if self._own_lanes:
            self._own_lanes.close()
