"""Runs the verbs of Remote VAE without HTTP, on pixels in the model's range.

The caller holds the permit until the response is formatted, as in `app.inference.service`.
"""

from __future__ import annotations

import math

from app.errors import (
    EngineFailedError,
    InvalidFieldError,
    ModelUnavailableError,
    UnsupportedByModelError,
)
from app.inference import validation
from app.inference.admission import Permit
from app.inference.engine import Engine
from app.registry.registry import Registry
from model.pixels import Floats, finite_rows


def choose(registry: Registry, name: str | None, version: int | None = None) -> Engine:
    """Returns the engine of the named model, or of the default model if its latents are maps, or of
    the only model with latent maps; in the given version, or the highest that serves.

    Raises:
        UnsupportedByModelError: the named model, or every model, has vectors as latents.
        InvalidFieldError: the name is missing and several models have latent maps.
        ServiceError: as `Registry.engine` raises.
    """
    name = _with_maps(registry) if name is None else name
    engine = registry.engine(name, version)
    if not engine.manifest.latent.is_map:
        msg = f"the latents of the model {name!r} are vectors; Remote VAE needs latent maps"
        raise UnsupportedByModelError(msg, field="model")
    return engine


def _with_maps(registry: Registry) -> str:
    """Returns the name of the model for requests that name none."""
    found = {model.name: model.engine for model in registry.models.values() if model.engine}
    maps = [name for name, engine in found.items() if engine.manifest.latent.is_map]
    default = registry.default_name
    if default in maps:
        return default
    if len(maps) == 1:
        return maps[0]
    if maps:
        msg = f"name one of the models with ?model=: {', '.join(sorted(maps))}"
        raise InvalidFieldError(msg, field="model")
    if len(found) < len(registry.models) or not registry.models:
        msg = "no model with latent maps serves now; GET /models shows the reason"
        raise ModelUnavailableError(msg, field="model", retry_after=5)
    msg = "the latents of every model are vectors; Remote VAE needs latent maps"
    raise UnsupportedByModelError(msg, field="model")


async def decode(engine: Engine, permit: Permit, latents: Floats) -> Floats:
    """Latents as served [n, c, h, w] → pixels float32 [n, c, h, w], not clamped.

    Raises:
        InvalidFieldError: an image has non-finite pixels.
        ServiceError: as the permit and the batchers raise.
    """
    size = validation.of_latents(engine.manifest, latents.shape[1:])
    permit.take(engine, len(latents) * math.prod(size))
    pixels, finite = permit.timing.add(await engine.decode_floats(latents)).outputs
    validation.check_rows(finite, "decodes to non-finite pixels; send smaller values", "body")
    return pixels


async def encode(engine: Engine, permit: Permit, pixels: Floats) -> Floats:
    """Pixels in the model's range [n, c, h, w] → means as served [n, c, h, w].

    Raises:
        InvalidFieldError: a mean has non-finite values.
        ServiceError: as the permit and the batchers raise.
    """
    permit.take(engine, len(pixels) * math.prod(pixels.shape[2:]))
    mean, _ = permit.timing.add(await engine.encode_floats(pixels)).outputs
    what = "encodes to non-finite values; send smaller values"
    validation.check_rows(finite_rows(mean), what, "body")
    return mean


def check_mean(mean: Floats) -> None:
    """Checks the mean of an image file, whose pixels always lie in their range.

    Raises:
        EngineFailedError: it has non-finite values.
    """
    if not finite_rows(mean).all():
        raise EngineFailedError("the encoder returned non-finite values for the image", index=0)
