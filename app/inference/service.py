"""The verbs without HTTP: they take and return arrays.

Each verb first takes its permit for the cost of all its stages, then awaits the engine's batchers.
The caller owns the permit and holds it until the response is encoded.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import likelihood_bounds, validation
from app.inference.admission import Admission, Permit
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.inference.likelihood_bounds import BoundOptions, Bounds
from app.inference.prior import draw_seed
from app.inference.results import (
    Decoded,
    Encoded,
    Interpolated,
    Reconstructed,
    Sampled,
    Scored,
    Windows,
)
from app.inference.sampling import (
    FROM_PRIOR,
    HELD_WINDOWS,
    Drawing,
    FromPrior,
    SampleSource,
    one_ahead,
    window_rows,
)
from app.inference.validation import check_count, check_finite
from model.interpolation import Path, between
from model.likelihood.estimate import Binarise
from model.pixels import Floats, Images


class Service:
    """The verbs of one process.

    Args:
        admission: limits the work of all callers together.
        offload: runs array work beside the graphs.
        max_n: most images that one call may sample or decode.
        max_stream_n: most images that one streamed call may sample.
        max_elbo_samples: most importance samples for each image.
    """

    def __init__(
        self,
        admission: Admission,
        offload: Offload,
        *,
        max_n: int,
        max_stream_n: int,
        max_elbo_samples: int,
    ) -> None:
        self._admission = admission
        self._offload = offload
        self._max_n = max_n
        self._max_stream_n = max_stream_n
        self._max_elbo_samples = max_elbo_samples

    def permit(self) -> Permit:
        """A permit for one call of one verb."""
        return Permit(self._admission)

    async def sample(
        self,
        engine: Engine,
        permit: Permit,
        source: SampleSource = FROM_PRIOR,
        *,
        n: int = 1,
        seed: int | None = None,
        streamed: bool = False,
    ) -> Sampled:
        """Draws latents from a source, by default the model's prior, and decodes them.

        Row i depends on the seed, the source and i alone, not on n or on other requests in its
        batch. A call without a seed draws one. A streamed call may draw more images.

        Raises:
            InvalidFieldError: n is out of range, the model does not take the source's size, or
                the source decodes to non-finite pixels; so do the windows.
            ServiceError: as the permit and the batchers raise; so do the windows.
        """
        check_count(n, "n", self._max_stream_n if streamed else self._max_n)
        pixels = math.prod(source.size(engine.manifest))
        rows = self._admit(engine, permit, n + source.encoded_rows, pixels, streamed=streamed)
        timing = Timing()
        if seed is None and n == 1 and isinstance(source, FromPrior) and not source.sized(engine):
            seed, latents = engine.prior.take(source.temperature)
            windows = _decoded(engine, latents, 1, timing, field=None)
            return Sampled(windows, seed, None, timing)
        center = await source.locate(engine, timing)
        seed = draw_seed() if seed is None else seed
        drawing = Drawing(engine, self._offload, seed, source, center, timing)
        windows = one_ahead(drawing.window, n, rows)
        return Sampled(windows, seed, drawing.shown_center, timing)

    async def encode(self, engine: Engine, permit: Permit, images: Images) -> Encoded:
        """The posterior of each image, uint8 [n, h, w, c].

        Raises:
            ServiceError: as the permit and the batchers raise.
        """
        permit.take(engine, _pixels(images))
        timing = Timing()
        mean, logvar = timing.add(await engine.encode(images)).outputs
        return Encoded(mean, logvar, timing)

    async def decode(
        self, engine: Engine, permit: Permit, latents: Floats, *, streamed: bool = False
    ) -> Decoded:
        """The image of each latent, float32 [n, *latent_shape].

        Raises:
            InvalidFieldError: too many latents, or latents that decode to non-finite pixels; so
                do the windows.
            ServiceError: as the permit and the batchers raise; so do the windows.
        """
        check_count(len(latents), "latents", self._max_n)
        pixels = math.prod(validation.of_latents(engine.manifest, latents.shape[1:]))
        rows = self._admit(engine, permit, len(latents), pixels, streamed=streamed)
        timing = Timing()
        return Decoded(_decoded(engine, latents, rows, timing, field="latents"), timing)

    async def reconstruct(
        self,
        engine: Engine,
        permit: Permit,
        images: Images,
        *,
        elbo_samples: int | None = None,
        binarise: Binarise | None = None,
        seed: int | None = None,
    ) -> Reconstructed:
        """Encodes images and decodes their posterior means.

        The squared error is against the grey image, in pixel units of [0, 1], summed. With
        `elbo_samples`, the bounds of `app.inference.likelihood_bounds` are computed as well.

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: a bound was requested of a model without a likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._bound_options(engine, elbo_samples, binarise, seed)
        stages = 2 if options is None else 3 + options.samples
        permit.take(engine, _pixels(images) * stages)
        timing = Timing()
        answer = timing.add(await engine.reconstruct(images))
        decoded, finite, mean, squared_error, *rest = answer.outputs
        if not finite.all():
            check_finite(finite)
        bounds = await self._bounds(engine, images, options, timing) if options else None
        return Reconstructed(
            decoded, mean, squared_error, rest[0] if rest else None, bounds, timing
        )

    async def score(
        self,
        engine: Engine,
        permit: Permit,
        images: Images,
        *,
        samples: int,
        binarise: Binarise | None = None,
        seed: int | None = None,
    ) -> Scored:
        """Bounds on log p(x) of images, uint8 [n, h, w, c].

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: the model has no likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._checked(engine, samples, binarise, seed, "samples")
        permit.take(engine, _pixels(images) * (1 + samples))
        timing = Timing()
        return Scored(await self._bounds(engine, images, options, timing), timing)

    async def interpolate(
        self, engine: Engine, permit: Permit, ends: Images | Floats, *, steps: int, path: Path
    ) -> Interpolated:
        """Decodes `steps` latents between two ends.

        The ends are images uint8 [2, h, w, c], which are taken at their posterior means, or
        latents float32 [2, *latent_shape]. `model.interpolation` defines the paths.

        Raises:
            InvalidFieldError: too many steps, or latents that decode to non-finite pixels.
            ServiceError: as the permit and the batchers raise.
        """
        check_count(steps, "steps", self._max_n)
        are_images = ends.dtype == np.uint8
        size = (
            ends.shape[1:3]
            if are_images
            else validation.of_latents(engine.manifest, ends.shape[1:])
        )
        permit.take(engine, (steps + 2 * are_images) * math.prod(size))
        timing = Timing()
        encoded = timing.add(await engine.encode(ends)).outputs[0] if are_images else ends
        both = cast("Floats", encoded)
        latents = await self._offload(steps * both[0].size, between, both[0], both[1], steps, path)
        images, finite = timing.add(await engine.decode(latents)).outputs
        check_finite(finite, None if are_images else "latents")
        return Interpolated(images, latents, timing)

    def _admit(
        self, engine: Engine, permit: Permit, rows: int, pixels: int, *, streamed: bool
    ) -> int:
        """Takes the permit for rows of `pixels` each, and returns how many rows a window has.

        A stream pays for the windows that it holds at a time, whatever its number of rows.
        """
        window = window_rows(pixels, self._admission.capacity) if streamed else rows
        permit.take(engine, min(rows, HELD_WINDOWS * window) * pixels)
        return window

    async def _bounds(
        self, engine: Engine, images: Images, options: BoundOptions, timing: Timing
    ) -> Bounds:
        return await likelihood_bounds.estimate(
            engine, images, options, offload=self._offload, timing=timing
        )

    def _bound_options(
        self, engine: Engine, samples: int | None, binarise: Binarise | None, seed: int | None
    ) -> BoundOptions | None:
        if samples is not None:
            return self._checked(engine, samples, binarise, seed, "elbo_samples")
        for field, value in (("binarise", binarise), ("seed", seed)):
            if value is not None:
                detail = f"{field} requires elbo_samples"
                raise InvalidFieldError(detail, field=field)
        return None

    def _checked(
        self,
        engine: Engine,
        samples: int,
        binarise: Binarise | None,
        seed: int | None,
        field: str,
    ) -> BoundOptions:
        """The options of a bound; `field` is the name of the option for the number of samples."""
        check_count(samples, field, self._max_elbo_samples)
        options = BoundOptions(samples, binarise, draw_seed() if seed is None else seed)
        # `/score` cannot leave its option out, so its error names no field.
        wanted_by = None if field == "samples" else field
        likelihood_bounds.check(engine.manifest.likelihood, options, field=wanted_by)
        return options


def _decoded(
    engine: Engine, latents: Floats, rows: int, timing: Timing, *, field: str | None
) -> Windows:
    """The images of latents in windows of `rows`; `field` is the option that gave the latents."""

    async def window(first: int, stop: int) -> tuple[Images, Floats]:
        shown = latents[first:stop]
        images, finite = timing.add(await engine.decode(shown)).outputs
        if not finite.all():
            check_finite(finite, field, first)
        return images, shown

    return one_ahead(window, len(latents), rows)


def _pixels(images: Images) -> int:
    """The pixels of all images, uint8 [n, h, w, c]."""
    return math.prod(images.shape[:3])
