"""Reads and writes NumPy's `.npy` format, with the errors of a request."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidFieldError, MalformedRequestError
from model.files import ArrayTypeError, parse_array
from model.pixels import Floats


def dump(array: NDArray[Any]) -> bytes:
    """Returns the array as a `.npy` file, format 1.0."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def load(data: bytes, *, field: str = "body") -> Floats:
    """Reads a `.npy` file (format 1.0, 2.0 or 3.0) as a C-ordered float32 array of its shape.

    Accepts floating-point and integer types of up to 8 bytes, either byte order, and C or Fortran
    order. Values beyond float32 become infinite; the caller must check for them.

    Args:
        data: the whole file, which may come from anyone.
        field: the field that an error names.

    Raises:
        MalformedRequestError: not a `.npy` file, or the header does not match the data's size.
        InvalidFieldError: the array has another type, such as objects, records, bools or complex.
    """
    try:
        array = parse_array(data)
    except ArrayTypeError as error:
        raise InvalidFieldError(str(error), field=field) from None
    except ValueError as error:
        raise MalformedRequestError(str(error), field=field) from None
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")
