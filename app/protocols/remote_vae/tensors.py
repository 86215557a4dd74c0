"""Reads and writes bare tensors, C-ordered little-endian bytes. Synchronous; safe in any thread.

Only the shape and type in the query describe the bytes, so their number is checked first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidFieldError, MalformedRequestError
from app.inference import validation
from app.inference.validation import Size
from app.protocols.remote_vae.query import DecodeQuery, Dtype, EncodeQuery
from model.bundle.manifest import Manifest
from model.bundle.scaling import scaling_of
from model.pixels import Floats, Range, finite_rows

_WIRE: dict[Dtype, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    # NumPy has no bfloat16: the upper half of a float32.
    "bfloat16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
}
_BFLOAT16_NAN = np.uint16(0x7FC0)
_NOT_FINITE = "of the body has a value that is not a finite float32"

REMOTE_RANGE: Range = (-1.0, 1.0)
"""The range of floating-point pixels in diffusers."""

_PATCH = 2
"""Packed latents join squares of 2×2 entries."""


def latents(data: bytes, query: DecodeQuery, manifest: Manifest, max_n: int) -> Floats:
    """Reads the body as latents in the served scaling, float32 [n, c, h, w].

    Packed latents [n, h/2 · w/2, c · 4], as Flux uses them, are unpacked.

    Raises:
        InvalidFieldError: the shape does not fit the model, the number of latents exceeds
            `max_n`, or a value is not finite.
        MalformedRequestError: the number of bytes does not fit shape and type.
    """
    shape, packed = query.shape, len(query.shape) == 3
    if packed:
        shape = _unpacked_shape(query, manifest)
    validation.of_latents(manifest, shape[1:], field="shape")
    _check_count(shape[0], max_n)
    rows = load(data, query.shape, query.dtype)
    if packed:
        rows = _unpack(rows, shape)
    own = scaling_of(manifest.latent)
    if query.scaling is not None and query.scaling != own:
        rows = own.served(query.scaling.trained(rows))
    validation.check_rows(finite_rows(rows), _NOT_FINITE, "body")
    return rows


def pixels(data: bytes, query: EncodeQuery, manifest: Manifest, max_n: int) -> Floats:
    """Reads the body as pixels in the model's range, float32 [n, c, h, w], cropped to the centre.

    Floats lie in −1 … 1, uint8 values in 0 … 255. Errors as in `latents`.
    """
    shape, spec = query.shape or (), manifest.input
    if len(shape) != 4 or shape[1] != spec.channels:
        msg = f"shape must be [n, {spec.channels}, h, w] of images, got {list(shape)}"
        raise InvalidFieldError(msg, field="shape")
    _check_count(shape[0], max_n)
    height, width = _cropped(manifest, shape[2], shape[3])
    rows = load(data, shape, query.dtype)
    top, left = (shape[2] - height) // 2, (shape[3] - width) // 2
    rows = rows[:, :, top : top + height, left : left + width]
    validation.check_rows(finite_rows(rows), _NOT_FINITE, "body")
    came = (0.0, 255.0) if query.dtype == "uint8" else REMOTE_RANGE
    return np.ascontiguousarray(to_range(rows, came, spec.value_range))


def to_range(rows: Floats, came: Range, wanted: Range) -> Floats:
    """Maps range `came` to range `wanted` without clamping."""
    if came == wanted:
        return rows
    slope = (wanted[1] - wanted[0]) / (came[1] - came[0])
    with np.errstate(over="ignore", invalid="ignore"):
        return (rows - np.float32(came[0])) * np.float32(slope) + np.float32(wanted[0])


def _cropped(manifest: Manifest, height: int, width: int) -> Size:
    """Returns the largest size that the model accepts and that fits into the image."""
    spec = manifest.input
    if spec.sizes is None:
        if (height, width) == (spec.height, spec.width):
            return height, width
        msg = f"shape must be [n, {spec.channels}, {spec.height}, {spec.width}], the model's size"
        raise InvalidFieldError(msg, field="shape")
    cropped = height - height % spec.sizes.multiple, width - width % spec.sizes.multiple
    if not all(map(spec.sizes.take, cropped)):
        msg = f"height and width in shape must be {spec.sizes}, got {height} and {width}"
        raise InvalidFieldError(msg, field="shape", limit=spec.sizes.max)
    return cropped


def _unpacked_shape(query: DecodeQuery, manifest: Manifest) -> tuple[int, int, int, int]:
    factor = manifest.latent.factor
    if query.size is None or factor is None:
        msg = (
            "shape must have four axes, [n, c, h, w]; packed latents with three axes need height "
            "and width, and a model whose manifest has latent.factor"
        )
        raise InvalidFieldError(msg, field="shape")
    # Sizes are rounded down to a multiple, as in diffusers' pipelines.
    height, width = (length // (factor * _PATCH) for length in query.size)
    n, patches, channels = query.shape
    if patches != height * width or channels % _PATCH**2:
        msg = (
            f"packed latents of {query.size[0]}×{query.size[1]} pixels must have the shape "
            f"[n, {height * width}, {manifest.latent.shape[0] * _PATCH**2}], "
            f"got {list(query.shape)}"
        )
        raise InvalidFieldError(msg, field="shape")
    return n, channels // _PATCH**2, height * _PATCH, width * _PATCH


def _unpack(rows: Floats, shape: tuple[int, ...]) -> Floats:
    """[n, h/2 · w/2, c · 4] → [n, c, h, w]."""
    n, channels, height, width = shape
    patches = rows.reshape(n, height // _PATCH, width // _PATCH, channels, _PATCH, _PATCH)
    return np.ascontiguousarray(patches.transpose(0, 3, 1, 4, 2, 5)).reshape(shape)


def _check_count(n: int, max_n: int) -> None:
    if n > max_n:
        msg = f"shape must have at most {max_n} rows, got {n}"
        raise InvalidFieldError(msg, field="shape", limit=max_n)


def load(data: bytes, shape: tuple[int, ...], dtype: Dtype) -> Floats:
    """Returns the tensor as float32 of that shape; uint8 keeps its values 0 … 255.

    Raises:
        MalformedRequestError: the number of bytes does not fit shape and type.
    """
    wire = _WIRE[dtype]
    expected = math.prod(shape) * wire.itemsize
    if len(data) != expected:
        msg = (
            f"shape {list(shape)} and dtype {dtype} make {expected} bytes, "
            f"and the body has {len(data)}"
        )
        raise MalformedRequestError(msg, field="shape")
    values = np.frombuffer(data, dtype=wire).reshape(shape)
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32)


def dump(tensor: Floats | NDArray[np.uint8], dtype: Dtype) -> bytes:
    """Returns the tensor's bytes; floats are rounded to the nearest, ties to even.

    Values beyond float16 become infinite.
    """
    if dtype == "bfloat16":
        return _to_bfloat16(np.asarray(tensor, dtype=np.float32)).tobytes()
    with np.errstate(over="ignore"):
        return tensor.astype(_WIRE[dtype]).tobytes()


def _to_bfloat16(values: Floats) -> NDArray[np.uint16]:
    bits = np.ascontiguousarray(values).view(np.uint32)
    # Add half of the lowest kept bit, slightly less if that bit is 0, so ties go to even.
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    upper = (rounded >> np.uint32(16)).astype("<u2")
    return np.where(np.isnan(values), _BFLOAT16_NAN, upper)
