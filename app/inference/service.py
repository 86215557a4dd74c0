"""The verbs, without HTTP: arrays in, arrays out.

Each verb takes its permit for the cost of all its stages, then awaits the engine's batchers. The
permit is the caller's, who holds it until the answer is formatted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import likelihood_bounds, validation
from app.inference.admission import Admission
from app.inference.checks import check_count, check_finite
from app.inference.engine import Engine
from app.inference.likelihood_bounds import BoundOptions, Bounds
from app.inference.permit import Permit
from app.inference.prior import draw_seed
from app.inference.sampling import Around, Drawing, Near, Place
from app.inference.timing import Timing
from model.interpolation import Path, between
from model.likelihood.estimate import Binarise
from model.likelihood.numpy_likelihood import Nats
from model.pixels import Floats, Images


@dataclass(frozen=True, slots=True)
class Sampled:
    """Images uint8 [n, h, w, c], their latents, the seed used, and where they were drawn."""

    images: Images
    latents: Floats
    seed: int
    around: Around | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Encoded:
    """The posterior's parameters, each float32 [n, *latent_shape]."""

    mean: Floats
    logvar: Floats
    timing: Timing


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images uint8 [n, h, w, c]."""

    images: Images
    timing: Timing


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """Decoded posterior means, with each image's squared error and KL in nats."""

    images: Images
    mean: Floats
    squared_error: Nats
    kl: Nats | None
    """None where the prior is a mixture: it has no closed form."""
    bounds: Bounds | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Scored:
    """Bounds on log p(x) of each image."""

    bounds: Bounds
    timing: Timing


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Images uint8 [steps, h, w, c] on the way between two latents, and all their latents."""

    images: Images
    latents: Floats
    timing: Timing


class Service:
    """The verbs of one process.

    Args:
        admission: bounds the work of all callers together.
        offload: runs array work beside the graphs.
        max_n: most images that one call may sample or decode.
        max_elbo_samples: most importance samples for each image.
    """

    def __init__(
        self, admission: Admission, offload: Offload, *, max_n: int, max_elbo_samples: int
    ) -> None:
        self._admission = admission
        self._offload = offload
        self._max_n = max_n
        self._max_elbo_samples = max_elbo_samples

    def permit(self) -> Permit:
        """A permit for one call of one verb."""
        return Permit(self._admission)

    async def sample(
        self,
        engine: Engine,
        permit: Permit,
        *,
        n: int,
        seed: int | None,
        temperature: float = 1.0,
        near: Near | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> Sampled:
        """Draws latents and decodes them: of the model's prior, or around what is `near`.

        Row i depends on the seed, `near`, the size and i alone, whatever n is and whoever shares
        its batch.

        Raises:
            InvalidFieldError: n is out of range, height and width are not of the model, or rows
                near a latent decode to no numbers.
            ServiceError: as the permit and the batchers raise.
        """
        check_count(n, "n", self._max_n)
        place = Place.of(engine.manifest, near, height, width)
        permit.take(engine, place.cost(n))
        timing = Timing()
        if seed is None and n == 1 and near is None and not engine.manifest.input.sizes:
            seed, latents = engine.prior.take(temperature)
            images, finite = timing.add(await engine.decode(latents)).outputs
            check_finite(finite)
            return Sampled(images, latents, seed, None, timing)
        around = await near.find(engine, timing) if near else None
        seed = draw_seed() if seed is None else seed
        drawing = Drawing(engine, seed, temperature, around, place, self._offload)
        images, finite, latents = timing.add(await drawing.rows(0, n)).outputs
        check_finite(finite, near.blamed if near else None)
        return Sampled(images, latents, seed, around, timing)

    async def interpolate(
        self, engine: Engine, permit: Permit, ends: Images | Floats, *, steps: int, path: Path
    ) -> Interpolated:
        """Decodes `steps` latents on the way between two ends.

        The ends are images uint8 [2, h, w, c], taken at their posterior means, or latents
        float32 [2, *latent_shape]. `model.interpolation` says how each path goes.

        Raises:
            InvalidFieldError: too many steps, or latents that decode to no numbers.
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

    async def encode(self, engine: Engine, permit: Permit, images: Images) -> Encoded:
        """The posterior of each image, uint8 [n, h, w, c].

        Raises:
            ServiceError: as the permit and the batchers raise.
        """
        permit.take(engine, _pixels(images))
        timing = Timing()
        mean, logvar = timing.add(await engine.encode(images)).outputs
        return Encoded(mean, logvar, timing)

    async def decode(self, engine: Engine, permit: Permit, latents: Floats) -> Decoded:
        """The image of each latent, float32 [n, *latent_shape].

        Raises:
            InvalidFieldError: more latents than are allowed, or pixels that are no numbers.
            ServiceError: as the permit and the batchers raise.
        """
        check_count(len(latents), "latents", self._max_n)
        size = validation.of_latents(engine.manifest, latents.shape[1:])
        permit.take(engine, len(latents) * math.prod(size))
        timing = Timing()
        images, finite = timing.add(await engine.decode(latents)).outputs
        check_finite(finite, "latents")
        return Decoded(images, timing)

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
            UnsupportedByModelError: a bound was asked of a model without a likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._bound_options(engine, elbo_samples, binarise, seed)
        stages = 2 if options is None else 3 + options.samples
        permit.take(engine, _pixels(images) * stages)
        timing = Timing()
        answer = timing.add(await engine.reconstruct(images))
        decoded, finite, mean, squared_error, *rest = answer.outputs
        check_finite(finite)
        estimated = None
        if options is not None:
            estimated = await likelihood_bounds.estimate(
                engine, images, options, offload=self._offload, timing=timing
            )
        kl = rest[0] if rest else None
        return Reconstructed(decoded, mean, squared_error, kl, estimated, timing)

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
        """Bounds on log p(x) of images, uint8 [n, h, w, c], as `app.inference.likelihood_bounds`
        estimates them.

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: the model has no likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._checked(engine, samples, binarise, seed, "samples")
        permit.take(engine, _pixels(images) * (1 + samples))
        timing = Timing()
        estimated = await likelihood_bounds.estimate(
            engine, images, options, offload=self._offload, timing=timing
        )
        return Scored(estimated, timing)

    def _bound_options(
        self,
        engine: Engine,
        samples: int | None,
        binarise: Binarise | None,
        seed: int | None,
    ) -> BoundOptions | None:
        if samples is None:
            for field, value in (("binarise", binarise), ("seed", seed)):
                if value is not None:
                    detail = f"{field} only has a meaning together with elbo_samples"
                    raise InvalidFieldError(detail, field=field)
            return None
        return self._checked(engine, samples, binarise, seed, "elbo_samples")

    def _checked(
        self,
        engine: Engine,
        samples: int,
        binarise: Binarise | None,
        seed: int | None,
        field: str,
    ) -> BoundOptions:
        """The options of a bound; `field` is what its number of samples is called."""
        if not 1 <= samples <= self._max_elbo_samples:
            detail = f"{field} must be 1 … {self._max_elbo_samples}, got {samples}"
            raise InvalidFieldError(detail, field=field, limit=self._max_elbo_samples)
        options = BoundOptions(samples, binarise, draw_seed() if seed is None else seed)
        # `/score` has nothing to leave out.
        wanted_by = None if field == "samples" else field
        likelihood_bounds.check(engine.manifest.likelihood, options, field=wanted_by)
        return options


def _pixels(images: Images) -> int:
    """Of all images, uint8 [n, h, w, c]."""
    return math.prod(images.shape[:3])
