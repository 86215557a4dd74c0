"""One served bundle: what its two graphs compute, each behind a batcher."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable

from app.errors import ShuttingDownError
from app.inference import pipelines
from app.inference.batcher import BatchReport, MicroBatcher
from app.inference.executor import Lanes
from app.inference.loader import Loaded
from app.inference.pipelines import Run
from app.inference.prior import prior_of
from model.bundle.manifest import Manifest
from model.bundle.scaling import scaling_of

Observe = Callable[[str, str, BatchReport], None]
"""Called with the model's name, the program's name and the report of a batch."""


class Engine:
    """A served bundle. Its batchers run the functions of `app.inference.pipelines`, which say what
    rows they take and what they answer: `encode`, `decode`, `sample`, `reconstruct` and `params`,
    and with pixels as numbers in the model's own range `encode_floats`, `decode_floats`, and for
    tensor protocols `encode_tensors`, `decode_tensors` and `reconstruct_tensors`.
    """

    def __init__(self, loaded: Loaded, shared: Lanes, observe: Observe) -> None:
        self.bundle = loaded.bundle
        self.name, self.version = loaded.name, loaded.version
        self.identity = f"{self.name}/{self.version}"
        self.provider = loaded.provider
        height, width = self.manifest.input.height, self.manifest.input.width
        self.row_pixels = height * width
        """What one row costs where its size is the model's own: its pixels."""
        self.prior = prior_of(self.bundle.mixture, self.manifest.latent.shape)
        self._own_lanes = Lanes(1) if loaded.own_lane else None
        if self._own_lanes:
            # Not joined there: what a caller who left had asked for may still be running.
            weakref.finalize(self, self._own_lanes.close, join=False).atexit = False
        self._verbs = 0
        self._closing = False
        self._unused = asyncio.Event()
        self._unused.set()
        self._batchers: list[MicroBatcher] = []
        lanes = self._own_lanes or shared
        # Without a way back to the engine: one that is replaced is freed by its last reference.
        model = self.name

        def batcher(name: str, run: Run, shape: tuple[int, ...], seconds: float) -> MicroBatcher:
            made = MicroBatcher(
                run,
                lanes,
                seconds_per_row={shape: seconds},
                work_clock=time.perf_counter if self._own_lanes else time.thread_time,
                observe=lambda report: observe(model, name, report),
            )
            self._batchers.append(made)
            return made

        encoder, decoder = loaded.encoder, loaded.decoder
        encoding, decoding = loaded.encoder_row_seconds, loaded.decoder_row_seconds
        value_range, latent = self.manifest.input.value_range, self.manifest.latent.shape
        scaling = scaling_of(self.manifest.latent)
        image = (height, width, self.manifest.input.channels)
        program = pipelines.encoding(encoder, value_range, scaling)
        self.encode = batcher("encode", program, image, encoding)
        program = pipelines.decoding(decoder, value_range, scaling)
        self.decode = batcher("decode", program, latent, decoding)
        program = pipelines.sampling(decoder, value_range, self.prior, scaling)
        self.sample = batcher("sample", program, pipelines.DRAW_SHAPE, decoding)
        program = pipelines.reconstructing(
            encoder, decoder, value_range, scaling, with_kl=self.bundle.mixture is None
        )
        self.reconstruct = batcher("reconstruct", program, image, encoding + decoding)
        self.params = batcher("params", pipelines.params(decoder, scaling), latent, decoding)
        floats = (self.manifest.input.channels, height, width)
        program = pipelines.encoding_floats(encoder, scaling)
        self.encode_floats = batcher("encode_floats", program, floats, encoding)
        program = pipelines.decoding_floats(decoder, scaling)
        self.decode_floats = batcher("decode_floats", program, latent, decoding)
        self.encode_tensors = batcher(
            "encode_tensors", pipelines.encoding_floats(encoder, scaling), floats, encoding
        )
        self.decode_tensors = batcher(
            "decode_tensors", pipelines.decoding_tensors(decoder, scaling), latent, decoding
        )
        program = pipelines.reconstructing_tensors(encoder, decoder, scaling)
        self.reconstruct_tensors = batcher(
            "reconstruct_tensors", program, floats, encoding + decoding
        )

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    def begin(self) -> None:
        """Counts a verb that uses the engine over all its stages, so that closing does not part
        them; `end` ends it.

        Raises:
            ShuttingDownError: the engine is closing.
        """
        if self._closing:
            msg = f"{self.identity} is closing; try again"
            raise ShuttingDownError(msg, retry_after=1)
        self._verbs += 1
        self._unused.clear()

    def end(self) -> None:
        """Ends what `begin` began."""
        self._verbs -= 1
        if not self._verbs:
            self._unused.set()

    async def drain(self) -> None:
        """Returns when no verb uses it.

        Nothing is refused: a request that had found the engine before it was replaced, and reads
        its body since, is still answered. The sessions are freed with the last reference.
        """
        await self._unused.wait()

    async def close(self) -> None:
        """Answers every verb that uses it, then frees the threads that are the engine's own."""
        self._closing = True
        await self.drain()
        await asyncio.gather(*(batcher.close() for batcher in self._batchers))
        if self._own_lanes:
            self._own_lanes.close()
