"""NumPy's `.npy` format, read from strangers: nothing is unpickled, no size is believed.

The format is NumPy Enhancement Proposal 1: a magic string, a version, the header's length, the
header as a Python literal, and the array's bytes.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidFieldError, MalformedRequestError
from model.pixels import Floats

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
# A plain array's header takes 118 bytes in NumPy; only structured types need more than this.
_MAX_HEADER_BYTES = 1024
_MAX_AXES = 16
_DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})
_MEMBER = re.compile(
    r"""\s*(['"])(descr|fortran_order|shape)\1\s*:\s*
        (?:(['"])(?P<descr>[^'"]*)\3|(?P<order>True|False)|\((?P<shape>[0-9\s,]*)\))
        \s*(?:,|$)""",
    re.VERBOSE,
)


def dump(array: NDArray[Any]) -> bytes:
    """The array as a `.npy` file, format 1.0."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def load(data: bytes, *, field: str = "body") -> Floats:
    """A `.npy` file (format 1.0, 2.0 or 3.0) as a C-ordered float32 array of the file's shape.

    Takes floating-point and integer types of up to 8 bytes, either byte order, C or Fortran
    order. Values beyond float32 become infinite; the caller decides about those.

    Args:
        data: the whole file.
        field: what an error names.

    Raises:
        MalformedRequestError: not such a file, or more or fewer bytes than its header says.
        InvalidFieldError: an array of another type, such as objects, records, bools or complex.
    """
    header, start = _split(data, field)
    descr, fortran_order, shape = _parse_header(header, field)
    dtype = _dtype(descr, field)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        msg = (
            f"the .npy header announces {expected} bytes of data "
            f"(shape {shape}, {dtype.name}), and {len(data) - start} follow"
        )
        raise MalformedRequestError(msg, field=field)
    flat = np.frombuffer(data, dtype=dtype, offset=start) if expected else np.empty(0, dtype)
    try:
        array = flat.reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, OverflowError) as error:
        # Beside an axis of 0, the others may claim anything.
        msg = f"the .npy header's shape is not one that an array can have: {error}"
        raise MalformedRequestError(msg, field=field) from error
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def _split(data: bytes, field: str) -> tuple[str, int]:
    size = _LENGTH_BYTES.get(data[6:8])
    if not data.startswith(_MAGIC) or size is None:
        msg = "not a .npy file of format 1.0, 2.0 or 3.0"
        raise MalformedRequestError(msg, field=field)
    length = int.from_bytes(data[8 : 8 + size], "little")
    start = 8 + size + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        msg = f"the .npy header is cut off or longer than {_MAX_HEADER_BYTES} bytes"
        raise MalformedRequestError(msg, field=field, limit=_MAX_HEADER_BYTES)
    return data[8 + size : start].decode("latin-1"), start


def _parse_header(header: str, field: str) -> tuple[str, bool, tuple[int, ...]]:
    text = header.strip()
    body = text[1:-1].strip() if text[:1] == "{" and text[-1:] == "}" else ""
    found: dict[str, str] = {}
    position = 0
    while position < len(body) and (match := _MEMBER.match(body, position)):
        name = match[2]
        value = match["order"] if name == "fortran_order" else match[name]
        if value is None or name in found:
            break
        found[name] = value
        position = match.end()
    if position < len(body) or len(found) != 3:
        msg = "the .npy header is not that of a plain array of floats or integers"
        raise MalformedRequestError(msg, field=field)
    axes = [axis.strip() for axis in found["shape"].split(",")]
    if axes[-1] == "":
        axes.pop()
    if len(axes) > _MAX_AXES or not all(axis.isdecimal() for axis in axes):
        msg = f"the .npy header's shape is no tuple of at most {_MAX_AXES} integers"
        raise MalformedRequestError(msg, field=field)
    return found["descr"], found["fortran_order"] == "True", tuple(int(axis) for axis in axes)


def _dtype(descr: str, field: str) -> np.dtype[Any]:
    if descr.lstrip("<>|=") not in _DTYPES or len(descr) > 3:
        msg = (
            f"a .npy array of type {descr[:32]!r} is not taken; send floats or integers, such as "
            "'<f4' (NumPy's float32)"
        )
        raise InvalidFieldError(msg, field=field)
    return np.dtype(descr)
