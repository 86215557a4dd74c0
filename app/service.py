"""The verbs, without HTTP: arrays in, arrays out.

Each verb takes its permit for the cost of all its stages, then awaits the engine's batchers. The
permit is the caller's, who holds it until the answer is formatted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import bounds
from app.admission import Admission
from app.bounds import BoundOptions, Bounds
from app.engine import Engine
from app.errors import EngineFailedError, InvalidFieldError
from app.offload import Offload
from app.permit import Permit
from app.prior import draw_seed
from app.programs import draws
from app.timing import Timing
from model.estimate import Binarise
from model.likelihood import Nats
from model.pixels import Floats, Images


@dataclass(frozen=True, slots=True)
class Sampled:
    """Pictures drawn from the prior: uint8 [n, h, w, c], their latents, and the seed used."""

    images: Images
    latents: Floats
    seed: int
    timing: Timing


@dataclass(frozen=True, slots=True)
class Encoded:
    """The posterior's parameters, each float32 [n, *latent_shape]."""

    mean: Floats
    logvar: Floats
    timing: Timing


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pictures uint8 [n, h, w, c]."""

    images: Images
    timing: Timing


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """Decoded posterior means, with each picture's squared error and KL in nats."""

    images: Images
    mean: Floats
    squared_error: Nats
    kl: Nats
    bounds: Bounds | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Scored:
    """Bounds on log p(x) of each picture."""

    bounds: Bounds
    timing: Timing


class Service:
    """The verbs of one process.

    Args:
        admission: bounds the work of all callers together.
        offload: runs array work beside the graphs.
        max_n: most pictures that one call may sample or decode.
        max_elbo_samples: most importance samples for each picture.
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
        self, engine: Engine, permit: Permit, *, n: int, seed: int | None, temperature: float
    ) -> Sampled:
        """Draws z ~ N(0, temperature² I) and decodes it.

        Row i depends on the seed and i alone, whatever n is and whoever shares its batch.

        Raises:
            InvalidFieldError: n is out of range.
            ServiceError: as the permit and the batchers raise.
        """
        self._check_count(n, "n")
        permit.take(engine, n * engine.row_pixels)
        timing = Timing()
        if seed is None and n == 1:
            seed, normal = engine.prior.take()
            latents = normal * np.float32(temperature)
            images, finite = timing.add(await engine.decode(latents)).outputs
        else:
            seed = draw_seed() if seed is None else seed
            answer = timing.add(await engine.sample(draws(seed, n, temperature)))
            images, finite, latents = answer.outputs
        _check_finite(finite)
        return Sampled(images, latents, seed, timing)

    async def encode(self, engine: Engine, permit: Permit, images: Images) -> Encoded:
        """The posterior of each picture, uint8 [n, h, w, c].

        Raises:
            ServiceError: as the permit and the batchers raise.
        """
        permit.take(engine, len(images) * engine.row_pixels)
        timing = Timing()
        mean, logvar = timing.add(await engine.encode(images)).outputs
        return Encoded(mean, logvar, timing)

    async def decode(self, engine: Engine, permit: Permit, latents: Floats) -> Decoded:
        """The picture of each latent, float32 [n, *latent_shape].

        Raises:
            InvalidFieldError: more latents than are allowed, or pixels that are no numbers.
            ServiceError: as the permit and the batchers raise.
        """
        self._check_count(len(latents), "latents")
        permit.take(engine, len(latents) * engine.row_pixels)
        timing = Timing()
        images, finite = timing.add(await engine.decode(latents)).outputs
        _check_finite(finite, "latents")
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
        """Encodes pictures and decodes their posterior means.

        The squared error is against the grey picture, in pixel units of [0, 1], summed. With
        `elbo_samples`, the bounds of `app.bounds` are computed as well.

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: a bound was asked of a model without a likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._bound_options(engine, elbo_samples, binarise, seed)
        stages = 2 if options is None else 3 + options.samples
        permit.take(engine, len(images) * engine.row_pixels * stages)
        timing = Timing()
        answer = timing.add(await engine.reconstruct(images))
        pictures, finite, mean, squared_error, kl = answer.outputs
        _check_finite(finite)
        estimated = None
        if options is not None:
            estimated = await bounds.estimate(
                engine, images, options, offload=self._offload, timing=timing
            )
        return Reconstructed(pictures, mean, squared_error, kl, estimated, timing)

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
        """Bounds on log p(x) of pictures, uint8 [n, h, w, c], as `app.bounds` estimates them.

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: the model has no likelihood.
            ServiceError: as the permit and the batchers raise.
        """
        options = self._checked(engine, samples, binarise, seed, "samples")
        permit.take(engine, len(images) * engine.row_pixels * (1 + samples))
        timing = Timing()
        estimated = await bounds.estimate(
            engine, images, options, offload=self._offload, timing=timing
        )
        return Scored(estimated, timing)

    def _check_count(self, count: int, field: str) -> None:
        if not 1 <= count <= self._max_n:
            detail = f"{field} must be 1 … {self._max_n}, got {count}"
            raise InvalidFieldError(detail, field=field, bound=self._max_n)

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
            raise InvalidFieldError(detail, field=field, bound=self._max_elbo_samples)
        options = BoundOptions(samples, binarise, draw_seed() if seed is None else seed)
        # `/score` has nothing to leave out.
        wanted_by = None if field == "samples" else field
        bounds.check(engine.manifest.likelihood, options, field=wanted_by)
        return options


def _check_finite(finite: NDArray[np.bool_], field: str | None = None) -> None:
    """Holds that every picture consists of numbers, bool [n].

    Raises:
        InvalidFieldError: one does not, with `field`: the caller's own latents are at fault.
        EngineFailedError: one does not, without it.
    """
    if finite.all():
        return
    row = int(np.argmin(finite))
    if field is None:
        msg = f"the decoder answered picture {row} with pixels that are no finite numbers"
        raise EngineFailedError(msg, index=row)
    msg = f"{field}[{row}] decodes to pixels that are no finite numbers; send smaller values"
    raise InvalidFieldError(msg, field=field, index=row)
