"""The verbs, without HTTP: arrays in, arrays out.

Each verb takes one permit for the cost of all its stages, then awaits the engine's batchers. The
caller's ExitStack keeps the permit: what a verb returned is in memory as long as it is formatted.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app import bounds, shown
from app.admission import Admission
from app.bounds import BoundOptions, Bounds
from app.engine import Engine
from app.errors import InvalidFieldError
from app.offload import Offload
from app.timing import Timing
from model import likelihood, noise, pixels
from model.likelihood import Nats
from model.noise import MAX_SEED, Purpose
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


class Service:
    """The verbs of one process.

    A verb's `permit` is a stack that takes over its permit, for the caller to hold until the
    answer is formatted; without one the permit ends with the verb.

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

    async def sample(
        self,
        engine: Engine,
        *,
        n: int,
        seed: int | None,
        temperature: float,
        permit: ExitStack | None = None,
    ) -> Sampled:
        """Draws z ~ N(0, temperature² I) and decodes it.

        Row i depends on the seed and i alone, whatever n is and whoever shares its batch.

        Raises:
            InvalidFieldError: n is out of range.
            ServiceError: as `Admission.admit` and the batchers raise.
        """
        self._check_count(n, "n")
        seed = draw_seed() if seed is None else seed
        timing = Timing()
        with engine.use(), self._admitted(n * engine.row_pixels, permit):
            shape = engine.manifest.latent.shape
            latents = await self._offload(
                n * engine.row_pixels, _prior, seed, n, shape, temperature
            )
            images = await self._decode(engine, latents, timing)
        return Sampled(images, latents, seed, timing)

    async def encode(
        self, engine: Engine, images: Images, *, permit: ExitStack | None = None
    ) -> Encoded:
        """The posterior of each picture, uint8 [n, h, w, c]. Errors as the batchers raise."""
        timing = Timing()
        size = len(images) * engine.row_pixels
        with engine.use(), self._admitted(size, permit):
            value_range = engine.manifest.input.value_range
            rows = await self._offload(size, pixels.to_float, images, value_range)
            mean, logvar = timing.add(await engine.encode(rows)).outputs
        return Encoded(mean, logvar, timing)

    async def decode(
        self, engine: Engine, latents: Floats, *, permit: ExitStack | None = None
    ) -> Decoded:
        """The picture of each latent, float32 [n, *latent_shape].

        Raises:
            InvalidFieldError: more latents than are allowed, or pixels that are no numbers.
            ServiceError: as `Admission.admit` and the batchers raise.
        """
        self._check_count(len(latents), "latents")
        timing = Timing()
        with engine.use(), self._admitted(len(latents) * engine.row_pixels, permit):
            images = await self._decode(engine, latents, timing, "latents")
        return Decoded(images, timing)

    async def reconstruct(
        self,
        engine: Engine,
        images: Images,
        *,
        elbo_samples: int | None = None,
        binarise: Literal["sample", "threshold"] | None = None,
        seed: int | None = None,
        permit: ExitStack | None = None,
    ) -> Reconstructed:
        """Encodes pictures and decodes their posterior means.

        The squared error is against the grey picture, in pixel units of [0, 1], summed. With
        `elbo_samples`, the bounds of `app.bounds` are computed as well.

        Raises:
            InvalidFieldError: an option is out of range or does not fit the model.
            UnsupportedByModelError: a bound was asked of a model without a likelihood.
            ServiceError: as `Admission.admit` and the batchers raise.
        """
        options = self._bound_options(engine, elbo_samples, binarise, seed)
        stages = 2 if options is None else 3 + options.samples
        size = len(images) * engine.row_pixels
        timing = Timing()
        with engine.use(), self._admitted(size * stages, permit):
            value_range = engine.manifest.input.value_range
            rows = await self._offload(size, pixels.to_float, images, value_range)
            mean, logvar = timing.add(await engine.encode(rows)).outputs
            decoded = timing.add(await engine.decode(mean)).outputs[0]
            estimated = None
            if options is not None:
                estimated = await bounds.estimate(
                    engine, images, options, offload=self._offload, timing=timing
                )
            pictures, squared_error = await self._offload(
                size, shown.compare, rows, decoded, value_range
            )
        return Reconstructed(
            images=pictures,
            mean=mean,
            squared_error=squared_error,
            kl=likelihood.kl(mean, logvar),
            bounds=estimated,
            timing=timing,
        )

    def _admitted(self, cost: int, permit: ExitStack | None) -> AbstractContextManager[None]:
        if permit is None:
            return self._admission.admit(cost)
        permit.enter_context(self._admission.admit(cost))
        return nullcontext()

    async def _decode(
        self, engine: Engine, latents: Floats, timing: Timing, field: str | None = None
    ) -> Images:
        decoded = timing.add(await engine.decode(latents)).outputs[0]
        return await self._offload(
            len(latents) * engine.row_pixels,
            shown.show,
            decoded,
            engine.manifest.input.value_range,
            field,
        )

    def _check_count(self, count: int, field: str) -> None:
        if not 1 <= count <= self._max_n:
            detail = f"{field} must be 1 … {self._max_n}, got {count}"
            raise InvalidFieldError(detail, field=field, bound=self._max_n)

    def _bound_options(
        self,
        engine: Engine,
        samples: int | None,
        binarise: Literal["sample", "threshold"] | None,
        seed: int | None,
    ) -> BoundOptions | None:
        if samples is None:
            for field, value in (("binarise", binarise), ("seed", seed)):
                if value is not None:
                    detail = f"{field} only has a meaning together with elbo_samples"
                    raise InvalidFieldError(detail, field=field)
            return None
        if not 1 <= samples <= self._max_elbo_samples:
            detail = f"elbo_samples must be 1 … {self._max_elbo_samples}, got {samples}"
            raise InvalidFieldError(detail, field="elbo_samples", bound=self._max_elbo_samples)
        options = BoundOptions(samples, binarise, draw_seed() if seed is None else seed)
        bounds.check(engine.manifest.likelihood, options)
        return options


def draw_seed() -> int:
    """A seed for a caller who sent none."""
    return secrets.randbelow(MAX_SEED + 1)


def _prior(seed: int, n: int, shape: tuple[int, ...], temperature: float) -> Floats:
    return noise.standard_normal(seed, Purpose.PRIOR, 0, n, shape) * np.float32(temperature)
