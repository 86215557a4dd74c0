"""Reads and writes NumPy's `.npy` format; parses untrusted files without unpickling anything."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from app.errors import InvalidFieldError, MalformedRequestError
from model.pixels import Floats

# NumPy writes a header of 118 bytes for a plain array; only structured types need more than this.
_MAX_HEADER_BYTES = 1024
_MAX_AXES = 16
# Format 3.0 differs from 2.0 in the encoding of field names, which plain arrays do not have.
_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}
_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def dump(array: NDArray[Any]) -> bytes:
    """Returns the array as a `.npy` file, format 1.0."""
    file = io.BytesIO()
    npy_format.write_array(file, np.asanyarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def load(data: bytes, *, field: str = "body") -> Floats:
    """Reads a `.npy` file (format 1.0, 2.0 or 3.0) as a C-ordered float32 array of its shape.

    Accepts floating-point and integer types of up to 8 bytes, either byte order, and C or Fortran
    order. Values beyond float32 become infinite; the caller must check for them.

    Args:
        data: the whole file.
        field: the field that an error names.

    Raises:
        MalformedRequestError: not a `.npy` file, or the header does not match the data's size.
        InvalidFieldError: the array has another type, such as objects, records, bools or complex.
    """
    file = io.BytesIO(data)
    shape, fortran_order, dtype = _read_header(file, field)
    _check_dtype(dtype, field)
    if len(shape) > _MAX_AXES or any(axis < 0 for axis in shape):
        msg = f"the .npy header's shape must have at most {_MAX_AXES} axes, none of them negative"
        raise MalformedRequestError(msg, field=field)
    start, expected = file.tell(), math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        msg = (
            f"the .npy header announces {expected} bytes of data "
            f"(shape {shape}, {dtype.name}), but {len(data) - start} follow"
        )
        raise MalformedRequestError(msg, field=field)
    flat = np.frombuffer(data, dtype=dtype, offset=start) if expected else np.empty(0, dtype)
    try:
        array = flat.reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, OverflowError) as error:
        # If one axis is 0, the others can have any size.
        msg = f"no array can have the shape in the .npy header: {error}"
        raise MalformedRequestError(msg, field=field) from error
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def _read_header(file: io.BytesIO, field: str) -> _Header:
    try:
        read = _HEADER_READERS[npy_format.read_magic(file)]
    except (KeyError, ValueError):
        msg = "the body is not a .npy file of format 1.0, 2.0 or 3.0"
        raise MalformedRequestError(msg, field=field) from None
    try:
        header: _Header = read(file, max_header_size=_MAX_HEADER_BYTES)
    except Exception as error:
        # NumPy evaluates the header as a literal, which can raise almost anything.
        if "dtype descriptor" in str(error):
            raise _wrong_type("of an unknown type", field) from None
        msg = (
            "the .npy header must describe a plain array of floats or integers in at most "
            f"{_MAX_HEADER_BYTES} bytes"
        )
        raise MalformedRequestError(msg, field=field, limit=_MAX_HEADER_BYTES) from None
    return header


def _check_dtype(dtype: np.dtype[Any], field: str) -> None:
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise _wrong_type(f"of type {str(dtype)[:32]!r}", field)


def _wrong_type(what: str, field: str) -> InvalidFieldError:
    msg = (
        f"a .npy array {what} is not supported; send floats or integers, such as '<f4' "
        "(NumPy's float32)"
    )
    return InvalidFieldError(msg, field=field)
