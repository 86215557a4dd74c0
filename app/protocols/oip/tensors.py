"""Reads the protocol's tensors, binary or JSON, as float32 arrays.

Every tensor of this service is FP32: little-endian and row-major as bytes, a list of numbers, flat
or nested, as JSON. Non-finite values are errors: JSON cannot express them, and their
results would be meaningless.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from app.codecs.lists import as_float32, flatten, kind_of
from app.errors import InvalidFieldError
from app.protocols.oip.model_names import VARIABLE, Shape, Tensor, shown
from model.pixels import Floats

DATATYPE = "FP32"
ITEM_BYTES = 4

LARGEST_AXIS = 1 << 24
"""No body can hold a longer axis."""

Members = dict[str, object]
"""A JSON object."""


def check_shape(tensor: Tensor, value: list[int], max_rows: int) -> Shape:
    """Returns the shape [n, …] in a request, checked against the tensor.

    Raises:
        InvalidFieldError: it does not fit the tensor, or has no row or more than `max_rows`.
    """
    axes = (VARIABLE, *tensor.shape)
    if len(value) != len(axes) or not all(map(_fits, value, axes)):
        listed = ", ".join("any" if size == VARIABLE else str(size) for size in tensor.shape)
        msg = f"input {tensor.name!r} needs a shape [n, {listed}], got {shown(value)}"
        raise InvalidFieldError(msg, field="shape")
    if value[0] > max_rows:
        msg = f"input {tensor.name!r} has {value[0]} rows; a request has 1 … {max_rows}"
        raise InvalidFieldError(msg, field="shape", limit=max_rows)
    return tuple(value)


def _fits(size: int, wanted: int) -> bool:
    return 1 <= size <= LARGEST_AXIS if wanted == VARIABLE else size == wanted


def from_binary(name: str, content: memoryview, shape: Shape) -> Floats:
    """Bytes → float32 of that shape.

    Raises:
        InvalidFieldError: the number of bytes does not fit the shape, or a value is not finite.
    """
    wanted = math.prod(shape) * ITEM_BYTES
    if len(content) != wanted:
        msg = f"input {name!r} has {len(content)} bytes, its shape {list(shape)} has {wanted}"
        raise InvalidFieldError(msg, field="binary_data_size", limit=wanted)
    array = np.frombuffer(content, "<f4").reshape(shape)
    # The JSON before the numbers can have any length; graphs need aligned numbers.
    return _finite(name, np.require(array, np.float32, ("C", "A")))


def from_json(name: str, data: object, shape: Shape) -> Floats:
    """A list of numbers, flat or nested as the shape is → float32 of that shape.

    Raises:
        InvalidFieldError: it is not a list, does not fit the shape, or has a value that is not a
            finite float32.
    """
    if not isinstance(data, list):
        msg = f"input {name!r} has data that is {kind_of(data)}; send a list of numbers"
        raise InvalidFieldError(msg, field="data")
    numbers: list[float] = []
    nested = bool(data) and isinstance(data[0], list)
    if wrong := flatten(data, shape if nested else (math.prod(shape),), numbers):
        msg = (
            f"input {name!r} has {wrong} in its data; shape {list(shape)} has "
            f"{math.prod(shape)} values, flat or nested"
        )
        raise InvalidFieldError(msg, field="data")
    return _finite(name, np.array(numbers, dtype=np.float64).reshape(shape))


def _finite(name: str, values: np.ndarray[Any, np.dtype[np.floating]]) -> Floats:
    array, row = as_float32(values)
    if row is not None:
        msg = f"row {row} of input {name!r} has a value that is not a finite {DATATYPE} number"
        raise InvalidFieldError(msg, field="data", index=row)
    return array
