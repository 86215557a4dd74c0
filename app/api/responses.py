"""A verb's result → the response in the negotiated format. Synchronous; large ones in a thread."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from app.api.schemas import InterpolateOptions
from app.codecs import images as image_codec
from app.codecs import npy
from app.http.headers import GIF, JSON, NPY, PNG, WEBP
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.inference.likelihood_bounds import Bounds
from app.inference.sampling import Around
from app.inference.service import Decoded, Encoded, Interpolated, Reconstructed, Sampled, Scored
from model.images.fitting import Fitted
from model.pixels import Images

Members = dict[str, object]

_ANIMATIONS = {GIF: image_codec.gif, WEBP: image_codec.webp}


def sample(
    engine: Engine, result: Sampled, temperature: float, fitted: Fitted | None, media_type: str
) -> Response:
    """`/sample`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c].

    Args:
        engine: that answered.
        result: what it answered.
        temperature: as it was used, where the draws are from the prior.
        fitted: the image around which was drawn, if it was one.
        media_type: of the answer.
    """
    headers = seeded(engine, result.timing, result.seed)
    if fitted:
        headers |= fit_header([fitted])
    if media_type != JSON:
        return _images(result.images, media_type, headers)
    members = sample_members(
        engine, len(result.images), result.seed, temperature, result.around, fitted
    )
    members |= {"images": _base64(result.images), "latents": result.latents}
    return _json(members, headers)


def sample_members(
    engine: Engine,
    n: int,
    seed: int,
    temperature: float,
    around: Around | None,
    fitted: Fitted | None,
) -> Members:
    """What `/sample` says of its images: enough to draw them again."""
    return identity(engine) | {
        "n": n,
        "seed": seed,
        "temperature": None if around else temperature,
        "latents_near": around
        and {
            "center": around.center,
            "radius": around.radius,
            "unit": around.unit,
            "picture": _as_found([fitted])[0] if fitted else None,
        },
    }


def interpolate(
    engine: Engine,
    result: Interpolated,
    options: InterpolateOptions,
    seeds: tuple[int, int] | None,
    fitted: Sequence[Fitted] | None,
    media_type: str,
) -> Response:
    """`/interpolate`: JSON, a PNG of one row, uint8 [steps, h, w, c], or an animation.

    Args:
        engine: that answered.
        result: what it answered.
        options: of the request.
        seeds: of the ends, where they came from seeds.
        fitted: the images at the ends, where they were images.
        media_type: of the answer.
    """
    headers = raw(engine, result.timing) | (fit_header(fitted) if fitted else {})
    if media_type in _ANIMATIONS:
        frames = result.images
        if options.bounce:
            frames = np.concatenate([frames, frames[-2:0:-1]])
        content = _ANIMATIONS[media_type](frames, options.milliseconds)
        return Response(content, headers=headers, media_type=media_type)
    if media_type == PNG:
        content = image_codec.png(image_codec.strip(result.images))
        return Response(content, headers=headers, media_type=PNG)
    if media_type == NPY:
        return _images(result.images, NPY, headers)
    members = identity(engine) | {
        "path": options.path,
        "steps": options.steps,
        "images": _base64(result.images),
        "latents": result.latents,
        "seeds": seeds,
        "pictures": _as_found(fitted) if fitted else None,
    }
    return _json(members, headers)


def encode(engine: Engine, result: Encoded, fitted: Sequence[Fitted], media_type: str) -> Response:
    """`/encode`: JSON, or the means as float32 [n, *latent_shape]."""
    headers = raw(engine, result.timing)
    if media_type != JSON:
        headers |= fit_header(fitted)
        return Response(npy.dump(result.mean), headers=headers, media_type=NPY)
    members = identity(engine) | {
        "mean": result.mean,
        "logvar": result.logvar,
        "pictures": _as_found(fitted),
    }
    return _json(members, headers)


def decode(engine: Engine, result: Decoded, media_type: str) -> Response:
    """`/decode`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c]."""
    headers = raw(engine, result.timing)
    if media_type != JSON:
        return _images(result.images, media_type, headers)
    return _json(identity(engine) | {"images": _base64(result.images)}, headers)


def reconstruct(
    engine: Engine, result: Reconstructed, fitted: Sequence[Fitted], media_type: str
) -> Response:
    """`/reconstruct`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c]."""
    if media_type != JSON:
        return _images(result.images, media_type, reconstruct_headers(engine, result, fitted))
    headers = _bound_headers(engine, result)
    members = reconstruct_members(engine, result, fitted) | {"images": _base64(result.images)}
    return _json(members, headers)


def reconstruct_members(engine: Engine, result: Reconstructed, fitted: Sequence[Fitted]) -> Members:
    """What `/reconstruct` says beside its images."""
    return identity(engine) | {
        "mean": result.mean,
        "squared_error": result.squared_error,
        "kl": result.kl,
        "pictures": _as_found(fitted),
        "bounds": _bounds(result.bounds) if result.bounds else None,
    }


def reconstruct_headers(
    engine: Engine, result: Reconstructed, fitted: Sequence[Fitted]
) -> dict[str, str]:
    """The headers of a raw answer, which has no other place for its figures."""
    return _bound_headers(engine, result) | fit_header(fitted) | _figure_headers(result)


def _bound_headers(engine: Engine, result: Reconstructed) -> dict[str, str]:
    if result.bounds is None:
        return raw(engine, result.timing)
    return seeded(engine, result.timing, result.bounds.options.seed)


def score(engine: Engine, result: Scored, fitted: Sequence[Fitted]) -> Response:
    """`/score`: JSON."""
    headers = seeded(engine, result.timing, result.bounds.options.seed)
    members = identity(engine) | _bounds(result.bounds) | {"pictures": _as_found(fitted)}
    return _json(members, headers)


def _bounds(bounds: Bounds) -> Members:
    return {
        "elbo": bounds.elbo,
        "reconstruction": bounds.reconstruction,
        "kl": bounds.kl,
        "importance_weighted": bounds.importance_weighted,
        "standard_error": bounds.standard_error,
        "effective_sample_size": bounds.effective_sample_size,
        "bits_per_dimension": bounds.bits_per_dimension,
        "nats_per_dimension": bounds.nats_per_dimension,
        "percentile": bounds.percentile,
        "samples": bounds.options.samples,
        "seed": bounds.options.seed,
        "likelihood": bounds.likelihood.family,
        "binarised": bounds.binarise,
        "dimensions": bounds.likelihood.dimensions,
        "unit": "nats",
    }


def _figure_headers(result: Reconstructed) -> dict[str, str]:
    figures = {"X-VAE-Squared-Error": result.squared_error}
    if result.kl is not None:
        figures["X-VAE-KL"] = result.kl
    if result.bounds:
        figures["X-VAE-ELBO"] = result.bounds.elbo
        figures["X-VAE-Importance-Weighted"] = result.bounds.importance_weighted
    return {name: _numbers(values) for name, values in figures.items()}


def _numbers(values: NDArray[np.float64]) -> str:
    return ",".join(f"{value:.6g}" for value in values.tolist())


def identity(engine: Engine) -> Members:
    return {"model": engine.name, "version": engine.version}


def seeded(engine: Engine, timing: Timing, seed: int) -> dict[str, str]:
    """The headers of an answer that a seed was used for."""
    return raw(engine, timing) | {"X-VAE-Seed": str(seed)}


def raw(engine: Engine, timing: Timing) -> dict[str, str]:
    """The headers of every verb's answer."""
    return {
        "X-VAE-Model": engine.identity,
        "Server-Timing": timing.header,
    }


def fit_header(fitted: Sequence[Fitted]) -> dict[str, str]:
    """What was done to the images, as ASCII JSON: header values carry nothing wider."""
    return {"X-VAE-Fit": _fit_text(tuple(image.steps for image in fitted))}


@lru_cache(maxsize=64)
def _fit_text(steps: tuple[tuple[str, ...], ...]) -> str:
    return json.dumps(steps)


def _as_found(fitted: Sequence[Fitted]) -> list[Members]:
    return [
        {
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "steps": list(image.steps),
        }
        for image in fitted
    ]


def _base64(images: Images) -> list[str]:
    return [image_codec.base64_png(image) for image in images]


def _images(images: Images, media_type: str, headers: Mapping[str, str]) -> Response:
    content = image_codec.png(image_codec.grid(images)) if media_type == PNG else npy.dump(images)
    return Response(content, headers=dict(headers), media_type=media_type)


def _json(members: Members, headers: Mapping[str, str]) -> Response:
    content = orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=dict(headers), media_type=JSON)
