"""Tensors as bare bytes, C-ordered and little-endian: what the Remote VAE protocol sends.

Nothing but the shape and the type, which stand beside the bytes, says what they are; so both are
checked against the number of bytes before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidFieldError, MalformedRequestError
from model.pixels import Floats

Dtype = Literal["float16", "float32", "bfloat16", "uint8"]
"""As torch calls them."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

_WIRE: dict[Dtype, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    # NumPy has no bfloat16: the upper half of a float32.
    "bfloat16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
}
_BFLOAT16_NAN = np.uint16(0x7FC0)
_MOST_AXES = 8


def load(data: bytes, shape: Sequence[int], dtype: Dtype) -> Floats:
    """The tensor as float32 of that shape; uint8 keeps its values 0 … 255.

    Raises:
        InvalidFieldError: the shape has too many axes, or one that is not positive.
        MalformedRequestError: not as many bytes as shape and type say.
    """
    if not 1 <= len(shape) <= _MOST_AXES or min(shape) < 1:
        msg = f"shape must be 1 … {_MOST_AXES} positive integers, got {list(shape)[:_MOST_AXES]}"
        raise InvalidFieldError(msg, field="shape")
    wire = _WIRE[dtype]
    expected = math.prod(shape) * wire.itemsize
    if len(data) != expected:
        msg = (
            f"shape {list(shape)} and dtype {dtype} make {expected} bytes, "
            f"and the body has {len(data)}"
        )
        raise MalformedRequestError(msg, field="shape")
    values = np.frombuffer(data, dtype=wire).reshape(tuple(shape))
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32)


def dump(tensor: Floats | NDArray[np.uint8], dtype: Dtype) -> bytes:
    """The tensor's bytes; floats are rounded to the nearest that the type has, ties to even.

    Values beyond float16 become infinite.
    """
    if dtype == "bfloat16":
        return _to_bfloat16(np.asarray(tensor, dtype=np.float32)).tobytes()
    with np.errstate(over="ignore"):
        return tensor.astype(_WIRE[dtype]).tobytes()


def _to_bfloat16(values: Floats) -> NDArray[np.uint16]:
    bits = np.ascontiguousarray(values).view(np.uint32)
    # Half of the last bit that stays, less where that bit is 0, so that ties go to even.
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    upper = (rounded >> np.uint32(16)).astype("<u2")
    return np.where(np.isnan(values), _BFLOAT16_NAN, upper)
