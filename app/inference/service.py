"""The verbs without HTTP: they take and return arrays.

Each verb first takes its permit for the cost of all its stages, then awaits the engine's batchers.
The caller owns the permit and holds it until the response is encoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import validation
from app.inference.admission import Admission, Permit
from app.inference.batch import Outputs
from app.inference.engine import Engine
from app.inference.likelihood_bounds import BoundOptions, Bounds, check_likelihood, estimate
from app.inference.prior import draw_seed
from app.inference.sampling import Center, Drawing, FromPrior, SampleSource
from app.inference.validation import check_count, check_finite
from app.inference.windows import HELD_WINDOWS, Window, Windows, one_ahead, window_rows
from model.interpolation import Path, between
from model.likelihood.bounds import Nats
from model.likelihood.estimate import Binarise, binarisation
from model.pixels import Floats, Images


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


@dataclass(frozen=True, slots=True)
class Service:
    """The verbs of one process; each also raises what its permit and the batchers raise."""

    admission: Admission
    """Limits the work of all callers together."""
    offload: Offload
    """Runs array work beside the graphs."""
    max_n: int
    """Most images that one call may sample or decode."""
    max_stream_n: int
    """Most images that one streamed call may sample."""
    max_elbo_samples: int
    """Most importance samples for each image."""

    def permit(self) -> Permit:
        """A permit for one call of one verb."""
        return Permit(self.admission)

    async def sample(
        self,
        engine: Engine,
        permit: Permit,
        source: SampleSource,
        *,
        n: int = 1,
        seed: int | None = None,
        streamed: bool = False,
    ) -> Sampled:
        """Draws latents from a source and decodes them.

        Row i depends on the seed, the source and i alone, not on n or on other requests in its
        batch. A call without a seed draws one. A streamed call may draw more images.

        Raises:
            InvalidFieldError: n is out of range, the model does not take the source's size, or
                the source decodes to non-finite pixels; so do the windows.
        """
        check_count(n, "n", self.max_stream_n if streamed else self.max_n)
        pixels = math.prod(source.size(engine.manifest))
        rows = self._admit(engine, permit, n + source.encoded_rows, pixels, streamed=streamed)
        if seed is None and n == 1 and isinstance(source, FromPrior) and not source.sized(engine):
            seed, latents = engine.prior.take(source.temperature)
            return Sampled(_decoded(engine, permit, latents, 1, field=None), seed, None)
        center = await source.locate(engine, permit.timing)
        seed = draw_seed() if seed is None else seed
        drawing = Drawing(engine, self.offload, seed, source, center, permit.timing)
        windows = one_ahead(drawing.window, n, rows)
        return Sampled(windows, seed, None if isinstance(source, FromPrior) else center)

    async def encode(self, engine: Engine, permit: Permit, images: Images) -> Outputs:
        """Mean and log-variance, float32 [n, *latent_shape], of the posteriors of images."""
        permit.take(engine, _pixels(images))
        return permit.timing.add(await engine.encode(images)).outputs

    async def decode(
        self, engine: Engine, permit: Permit, latents: Floats, *, streamed: bool = False
    ) -> Windows:
        """The image of each latent, float32 [n, *latent_shape].

        Raises:
            InvalidFieldError: too many latents, or latents that decode to non-finite pixels; so
                do the windows.
        """
        check_count(len(latents), "latents", self.max_n)
        pixels = math.prod(validation.of_latents(engine.manifest, latents.shape[1:]))
        rows = self._admit(engine, permit, len(latents), pixels, streamed=streamed)
        return _decoded(engine, permit, latents, rows, field="latents")

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
        """
        options = None
        if elbo_samples is not None:
            options = self._bound_options(engine, elbo_samples, binarise, seed, "elbo_samples")
        elif binarise is not None or seed is not None:
            field = "seed" if binarise is None else "binarise"
            raise InvalidFieldError(f"{field} requires elbo_samples", field=field)
        stages = 3 + options.samples if options else 2
        permit.take(engine, _pixels(images) * stages)
        answer = permit.timing.add(await engine.reconstruct(images))
        decoded, finite, mean, squared_error, *rest = answer.outputs
        check_finite(finite)
        bounds = None
        if options:
            bounds = await estimate(engine, images, options, self.offload, permit.timing)
        return Reconstructed(decoded, mean, squared_error, rest[0] if rest else None, bounds)

    async def score(
        self,
        engine: Engine,
        permit: Permit,
        images: Images,
        *,
        samples: int,
        binarise: Binarise | None = None,
        seed: int | None = None,
    ) -> Bounds:
        """Bounds on log p(x) of images, uint8 [n, h, w, c].

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: the model has no likelihood.
        """
        options = self._bound_options(engine, samples, binarise, seed, "samples")
        permit.take(engine, _pixels(images) * (1 + samples))
        return await estimate(engine, images, options, self.offload, permit.timing)

    async def interpolate(
        self, engine: Engine, permit: Permit, ends: Images | Floats, *, steps: int, path: Path
    ) -> tuple[Images, Floats]:
        """Decodes `steps` latents between two ends, and returns them as well.

        The ends are images uint8 [2, h, w, c], which are taken at their posterior means, or
        latents float32 [2, *latent_shape]. `model.interpolation` defines the paths.

        Raises:
            InvalidFieldError: too many steps, or latents that decode to non-finite pixels.
        """
        check_count(steps, "steps", self.max_n)
        are_images = ends.dtype == np.uint8
        size = (
            ends.shape[1:3]
            if are_images
            else validation.of_latents(engine.manifest, ends.shape[1:])
        )
        permit.take(engine, (steps + 2 * are_images) * math.prod(size))
        encoded = permit.timing.add(await engine.encode(ends)).outputs[0] if are_images else ends
        both = cast("Floats", encoded)
        latents = await self.offload(steps * both[0].size, between, both[0], both[1], steps, path)
        images, finite = permit.timing.add(await engine.decode(latents)).outputs
        check_finite(finite, None if are_images else "latents")
        return images, latents

    def _admit(
        self, engine: Engine, permit: Permit, rows: int, pixels: int, *, streamed: bool
    ) -> int:
        """Takes the permit for rows of `pixels` each, and returns how many rows a window has.

        A stream pays for the windows that it holds at a time, whatever its number of rows.
        """
        window = window_rows(pixels, self.admission.capacity) if streamed else rows
        permit.take(engine, min(rows, HELD_WINDOWS * window) * pixels)
        return window

    def _bound_options(
        self,
        engine: Engine,
        samples: int,
        binarise: Binarise | None,
        seed: int | None,
        field: str,
    ) -> BoundOptions:
        """The options of a bound; `field` is the name of the option for the number of samples."""
        check_count(samples, field, self.max_elbo_samples)
        # `/score` cannot leave its option out, so its error names no field.
        wanted_by = None if field == "samples" else field
        spec = check_likelihood(engine.manifest.likelihood, binarise, wanted_by)
        if seed is None:
            seed = draw_seed()
        return BoundOptions(spec, samples, binarisation(spec, binarise), seed)


def _decoded(
    engine: Engine, permit: Permit, latents: Floats, rows: int, *, field: str | None
) -> Windows:
    """The images of latents in windows of `rows`; `field` is the option that gave the latents."""

    async def window(first: int, stop: int) -> Window:
        shown = latents[first:stop]
        images, finite = permit.timing.add(await engine.decode(shown)).outputs
        check_finite(finite, field, first)
        return images, shown

    return one_ahead(window, len(latents), rows)


def _pixels(images: Images) -> int:
    """The pixels of all images, uint8 [n, h, w, c]."""
    return math.prod(images.shape[:3])
