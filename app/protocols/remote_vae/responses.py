"""Formats responses: bare tensors with shape and type in headers, or one image file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from app.codecs import images as image_codec
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.protocols.remote_vae import tensors
from app.protocols.remote_vae.query import Dtype
from app.protocols.remote_vae.tensors import REMOTE_RANGE
from model.bundle.scaling import Scaling, scaling_of
from model.pixels import UNIT_RANGE, Floats, Images

TENSOR = "tensor/binary"
JPEG = "image/jpeg"
PNG = "image/png"


def latents(
    engine: Engine, mean: Floats, timing: Timing, scaling: Scaling, dtype: Dtype
) -> Response:
    """Formats means in the client's scaling."""
    own = scaling_of(engine.manifest.latent)
    if scaling != own:
        mean = scaling.served(own.trained(mean))
    return tensor(engine, mean, timing, _float(dtype))


def pixels(
    engine: Engine, decoded: Floats, timing: Timing, dtype: Dtype, clamped: bool
) -> Response:
    """Formats pixels [n, c, h, w] in −1 … 1, not clamped; `clamped` clamps them to 0 … 1."""
    value_range = engine.manifest.input.value_range
    wanted = UNIT_RANGE if clamped else REMOTE_RANGE
    decoded = tensors.to_range(decoded, value_range, wanted)
    if clamped:
        decoded = decoded.clip(0, 1)
    return tensor(engine, decoded, timing, _float(dtype))


def image(engine: Engine, image: Images, timing: Timing, media_type: str) -> Response:
    """Formats an image uint8 [h, w, c] as a PNG or JPEG file."""
    content = image_codec.png(image) if media_type == PNG else image_codec.jpeg(image)
    return Response(content, headers=_headers(engine, timing), media_type=media_type)


def tensor(engine: Engine, array: NDArray[Any], timing: Timing, dtype: Dtype) -> Response:
    """Formats an array as bytes of a type, with its shape in the headers."""
    headers = _headers(engine, timing) | {
        "shape": json.dumps(list(array.shape)),
        "dtype": dtype,
    }
    content = tensors.dump(np.ascontiguousarray(array), dtype)
    return Response(content, headers=headers, media_type=TENSOR)


def _float(dtype: Dtype) -> Dtype:
    """Returns the response's float type: the request's, or float32 for uint8."""
    return "float32" if dtype == "uint8" else dtype


def _headers(engine: Engine, timing: Timing) -> dict[str, str]:
    return {"X-VAE-Model": engine.identity, "Server-Timing": timing.header}
