"""Reads the protocol's tensors, binary or JSON, as float32 arrays.

Every tensor of this service is FP32: little-endian and row-major as bytes, a list of numbers, flat
or nested, as JSON. Non-finite values are errors: JSON cannot express them, and their
results would be meaningless.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from app.errors import InvalidFieldError
from app.protocols.oip.model_names import VARIABLE, Shape, Tensor
from model.pixels import Floats, finite_rows

DATATYPE = "FP32"
ITEM_BYTES = 4

LARGEST_AXIS = 1 << 24
"""No body can hold a longer axis."""

Members = dict[str, object]
"""A JSON object."""

_WIRE = np.dtype("<f4")
_LONGEST_SHOWN = 80
_MOST_SHOWN = 12


def check_datatype(name: str, value: object) -> None:
    """Checks that a tensor is FP32.

    Raises:
        InvalidFieldError: it has another datatype.
    """
    if value != DATATYPE:
        msg = f"input {name!r} has datatype {shown(value)}; send {DATATYPE}"
        raise InvalidFieldError(msg, field="datatype")


def check_shape(tensor: Tensor, value: object, max_rows: int) -> Shape:
    """Returns the shape [n, …] in a request, checked against the tensor.

    Raises:
        InvalidFieldError: it is not a list of integers, does not fit the tensor, or has no row
            or more than `max_rows`.
    """
    wanted = (
        f"it must be [n, {', '.join('any' if s == VARIABLE else str(s) for s in tensor.shape)}]"
    )
    if not isinstance(value, list) or not all(type(size) is int for size in value):
        msg = f"input {tensor.name!r} needs a shape, a list of integers; {wanted}"
        raise InvalidFieldError(msg, field="shape")
    if not _fits(value, tensor):
        msg = f"input {tensor.name!r} has shape {shown(value)}; {wanted}"
        raise InvalidFieldError(msg, field="shape")
    if not 1 <= value[0] <= max_rows:
        msg = f"input {tensor.name!r} has {value[0]} rows; a request has 1 … {max_rows}"
        raise InvalidFieldError(msg, field="shape", limit=max_rows)
    return tuple(value)


def _fits(sizes: list[int], tensor: Tensor) -> bool:
    return len(sizes) == len(tensor.shape) + 1 and all(
        1 <= size <= LARGEST_AXIS if wanted == VARIABLE else size == wanted
        for size, wanted in zip(sizes[1:], tensor.shape, strict=True)
    )


def from_binary(name: str, content: memoryview, shape: Shape) -> Floats:
    """Bytes → float32 of that shape.

    Raises:
        InvalidFieldError: the number of bytes does not fit the shape, or a value is not finite.
    """
    wanted = math.prod(shape) * ITEM_BYTES
    if len(content) != wanted:
        msg = f"input {name!r} has {len(content)} bytes, its shape {list(shape)} has {wanted}"
        raise InvalidFieldError(msg, field="binary_data_size", limit=wanted)
    array = np.frombuffer(content, _WIRE).reshape(shape)
    # The JSON before the numbers can have any length; graphs need aligned numbers.
    return _finite(name, np.require(array, np.float32, ("C", "A")))


def from_json(name: str, data: object, shape: Shape) -> Floats:
    """A list of numbers, flat or nested as the shape is → float32 of that shape.

    Raises:
        InvalidFieldError: it is not a list, does not fit the shape, or has a value that is not a
            finite float32.
    """
    if not isinstance(data, list):
        msg = f"input {name!r} has data that is {_kind(data)}; send a list of numbers"
        raise InvalidFieldError(msg, field="data")
    numbers: list[float] = []
    if data and isinstance(data[0], list):
        _flatten(name, data, shape, shape, numbers)
    else:
        _take(name, data, math.prod(shape), shape, numbers)
    return _finite(name, np.array(numbers, dtype=np.float64).reshape(shape))


def _flatten(name: str, value: object, axes: Shape, shape: Shape, out: list[float]) -> None:
    if len(axes) == 1:
        _take(name, value, axes[0], shape, out)
        return
    if not isinstance(value, list) or len(value) != axes[0]:
        raise _wrong_nesting(name, value, axes[0], shape)
    for inner in value:
        _flatten(name, inner, axes[1:], shape, out)


def _take(name: str, value: object, count: int, shape: Shape, out: list[float]) -> None:
    if not isinstance(value, list) or len(value) != count:
        raise _wrong_nesting(name, value, count, shape)
    if not set(map(type, value)) <= {float, int}:
        wrong = next(entry for entry in value if type(entry) not in (float, int))
        msg = f"input {name!r} has {_kind(wrong)} in its data instead of a number"
        raise InvalidFieldError(msg, field="data")
    out.extend(cast("list[float]", value))


def _wrong_nesting(name: str, value: object, count: int, shape: Shape) -> InvalidFieldError:
    found = f"{len(value)} values" if isinstance(value, list) else _kind(value)
    msg = (
        f"input {name!r} has {found} in its data instead of {count}; shape {list(shape)} has "
        f"{math.prod(shape)} values, flat or nested"
    )
    return InvalidFieldError(msg, field="data")


def _finite(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Floats:
    with np.errstate(over="ignore"):
        array = values.astype(np.float32, copy=False)
    finite = finite_rows(array)
    if not finite.all():
        row = int(np.argmin(finite))
        msg = f"row {row} of input {name!r} has a value that is not a finite {DATATYPE} number"
        raise InvalidFieldError(msg, field="data", index=row)
    return array


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def shown(value: object) -> str:
    """Returns the value as text, shortened for an error message."""
    if isinstance(value, list) and len(value) > _MOST_SHOWN:
        value = [*value[:_MOST_SHOWN], "…"]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def name_of(entry: object, where: str) -> str:
    """Returns the name of an entry in the list `where`.

    Raises:
        InvalidFieldError: the entry is not an object or has no name.
    """
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        msg = f"every entry of {where} must be an object with a name"
        raise InvalidFieldError(msg, field=where)
    return name


def object_of(members: Members, field: str, where: str) -> Members:
    """Returns a member that is an object; empty if it is missing or null.

    Raises:
        InvalidFieldError: it has another type.
    """
    value = members.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f"{field} of {where} must be an object"
        raise InvalidFieldError(msg, field=field)
    return value


def flag_of(parameters: Members, name: str, *, default: bool = False) -> bool:
    """Returns a boolean parameter.

    Raises:
        InvalidFieldError: it has another type.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        msg = f"the parameter {name} must be true or false, got {shown(value)}"
        raise InvalidFieldError(msg, field=name)
    return value
