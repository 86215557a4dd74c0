"""Arrays to an `.npz` archive, and from one that nobody vouches for: of numbers only, and of
bounded size."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_HEADER = 16_384
"""Bytes of an array's header, more than NumPy writes."""
_NUMBERS = "biuf"
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of an archive that `read_arrays` reads."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return buffer.getvalue()


def read_arrays(content: bytes, names: Collection[str], largest: int) -> Arrays:
    """The arrays of an archive that holds these and no others.

    Sizes are checked before room is made for them, and nothing is unpickled.

    Args:
        content: of the archive.
        names: of the arrays.
        largest: bytes that all arrays may have together.

    Raises:
        ValueError: it is damaged, encrypted or too large, or holds something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            found = sorted(one.filename.removesuffix(".npy") for one in members)
            if found == sorted(names):
                _check_members(members, largest + len(found) * _HEADER)
                return {
                    one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in members
                }
    # The readers' errors share no other base: zlib's, the tokenizer's, a codec's that is missing.
    except Exception as error:
        msg = f"not an archive of arrays: {str(error) or type(error).__name__}"
        raise ValueError(msg) from error
    shown = ", ".join(found) or "nothing"
    msg = f"holds {shown}, it should hold {', '.join(names)}"
    raise ValueError(msg)


def _check_members(members: Collection[zipfile.ZipInfo], largest: int) -> None:
    for one in members:
        if one.flag_bits & _ENCRYPTED or one.compress_type not in _METHODS:
            msg = f"{one.filename} is encrypted, or compressed by something else than deflate"
            raise ValueError(msg)
    if (size := sum(one.file_size for one in members)) > largest:
        msg = f"its arrays have {size} bytes, at most {largest} are expected"
        raise ValueError(msg)


def _array(content: bytes) -> NDArray[Any]:
    file = io.BytesIO(content)
    read_header = _READERS.get(np.lib.format.read_magic(file))
    if read_header is None:
        msg = "an array of an unknown version"
        raise ValueError(msg)
    shape, _, dtype = read_header(file)
    if dtype.kind not in _NUMBERS or any(length < 0 for length in shape):
        msg = f"an array of {dtype} {shape}, which are no numbers"
        raise ValueError(msg)
    wanted, there = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if wanted != there:
        msg = f"an array of {dtype} {shape} has {there} bytes"
        raise ValueError(msg)
    array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    return array
