"""A verb's result → the response in the negotiated format. Synchronous; large ones in a thread."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from app import images as pictures
from app import npy
from app.bounds import Bounds
from app.engine import Engine
from app.negotiate import JSON, NPY, PNG
from app.service import Decoded, Encoded, Reconstructed, Sampled
from app.timing import Timing
from model.pictures import Fitted
from model.pixels import Images

Members = dict[str, object]


def sample(engine: Engine, result: Sampled, temperature: float, media_type: str) -> Response:
    """`/sample`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c]."""
    headers = _headers(engine, result.timing) | {"X-VAE-Seed": str(result.seed)}
    if media_type != JSON:
        return _images(result.images, media_type, headers)
    members = _identity(engine) | {
        "n": len(result.images),
        "seed": result.seed,
        "temperature": temperature,
        "images": _base64(result.images),
        "latents": result.latents,
    }
    return _json(members, headers)


def encode(engine: Engine, result: Encoded, fitted: Sequence[Fitted], media_type: str) -> Response:
    """`/encode`: JSON, or the means as float32 [n, *latent_shape]."""
    headers = _headers(engine, result.timing)
    if media_type != JSON:
        headers |= _fit_header(fitted)
        return Response(npy.dump(result.mean), headers=headers, media_type=NPY)
    members = _identity(engine) | {
        "mean": result.mean,
        "logvar": result.logvar,
        "pictures": _as_found(fitted),
    }
    return _json(members, headers)


def decode(engine: Engine, result: Decoded, media_type: str) -> Response:
    """`/decode`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c]."""
    headers = _headers(engine, result.timing)
    if media_type != JSON:
        return _images(result.images, media_type, headers)
    return _json(_identity(engine) | {"images": _base64(result.images)}, headers)


def reconstruct(
    engine: Engine, result: Reconstructed, fitted: Sequence[Fitted], media_type: str
) -> Response:
    """`/reconstruct`: JSON, one PNG (a grid when n > 1), or uint8 [n, h, w, c]."""
    headers = _headers(engine, result.timing)
    if result.bounds:
        headers["X-VAE-Seed"] = str(result.bounds.options.seed)
    if media_type != JSON:
        headers |= _fit_header(fitted) | _figure_headers(result)
        return _images(result.images, media_type, headers)
    members = _identity(engine) | {
        "images": _base64(result.images),
        "mean": result.mean,
        "squared_error": result.squared_error,
        "kl": result.kl,
        "pictures": _as_found(fitted),
        "bounds": _bounds(result.bounds) if result.bounds else None,
    }
    return _json(members, headers)


def _bounds(bounds: Bounds) -> Members:
    return {
        "elbo": bounds.elbo,
        "reconstruction": bounds.reconstruction,
        "kl": bounds.kl,
        "importance_weighted": bounds.importance_weighted,
        "samples": bounds.options.samples,
        "seed": bounds.options.seed,
        "likelihood": bounds.likelihood.family,
        "binarised": bounds.binarise,
        "dimensions": bounds.likelihood.dimensions,
        "unit": "nats",
    }


def _figure_headers(result: Reconstructed) -> dict[str, str]:
    figures = {"X-VAE-Squared-Error": result.squared_error, "X-VAE-KL": result.kl}
    if result.bounds:
        figures["X-VAE-ELBO"] = result.bounds.elbo
        figures["X-VAE-Importance-Weighted"] = result.bounds.importance_weighted
    return {name: _numbers(values) for name, values in figures.items()}


def _numbers(values: NDArray[np.float64]) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def _identity(engine: Engine) -> Members:
    return {"model": engine.name, "version": engine.version}


def _headers(engine: Engine, timing: Timing) -> dict[str, str]:
    return {
        "X-VAE-Model": engine.identity,
        "Server-Timing": timing.header,
    }


def _fit_header(fitted: Sequence[Fitted]) -> dict[str, str]:
    """What was done to the pictures, as ASCII JSON: header values carry nothing wider."""
    return {"X-VAE-Fit": _fit_text(tuple(picture.steps for picture in fitted))}


@lru_cache(maxsize=64)
def _fit_text(steps: tuple[tuple[str, ...], ...]) -> str:
    return json.dumps(steps)


def _as_found(fitted: Sequence[Fitted]) -> list[Members]:
    return [
        {
            "width": picture.width,
            "height": picture.height,
            "mode": picture.mode,
            "steps": list(picture.steps),
        }
        for picture in fitted
    ]


def _base64(images: Images) -> list[str]:
    return [pictures.base64_png(image) for image in images]


def _images(images: Images, media_type: str, headers: Mapping[str, str]) -> Response:
    content = pictures.png(pictures.grid(images)) if media_type == PNG else npy.dump(images)
    return Response(content, headers=dict(headers), media_type=media_type)


def _json(members: Members, headers: Mapping[str, str]) -> Response:
    content = orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=dict(headers), media_type=JSON)
