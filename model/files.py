"""Files and folders that are written as a whole or not at all, and `.npz` archives of arrays.

`parse_array` and `read_arrays` read untrusted files: they accept only numbers, and only as many
bytes as expected.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_HEADER = 1024
"""Bytes of an array's header; NumPy writes 118 for a plain array, and more for records only."""
_AXES = 16
# Format 3.0 differs from 2.0 in the encoding of field names, which plain arrays do not have.
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


class ArrayTypeError(ValueError):
    """An array has other values than floats or integers of up to 8 bytes."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"a .npy array {what} is not supported; it needs floats or integers, such as '<f4' "
            "(NumPy's float32)"
        )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`, which replaces it if the block raises no error.

    Raises:
        OSError: the folder is missing, or the disk refuses the write.
    """
    # `tempfile` would make it private, where the umask decides who may read a new file.
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes a folder with these files; the folder must not exist yet.

    Raises:
        OSError: the folder has files already, or the disk refuses the write.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
            _sync(temporary / name)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    """Waits until the disk has the file's content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Returns the content of an archive that `read_arrays` reads."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return buffer.getvalue()


def read_arrays(content: bytes, names: Collection[str], largest: int) -> Arrays:
    """Returns the arrays of an archive that has exactly these arrays.

    Checks sizes before it allocates memory, and unpickles nothing.

    Args:
        content: the bytes of the archive.
        names: the names of the arrays.
        largest: the most bytes that all arrays may have together.

    Raises:
        ValueError: the archive is damaged, encrypted or too large, or has other content.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            found = sorted(one.filename.removesuffix(".npy") for one in members)
            if found == sorted(names):
                _check_members(members, largest + len(found) * _HEADER)
                return {
                    one.filename.removesuffix(".npy"): parse_array(archive.read(one)).copy()
                    for one in members
                }
    # The errors of zlib, the header's tokenizer and missing codecs share no other base class.
    except Exception as error:
        msg = f"not an archive of arrays: {str(error) or type(error).__name__}"
        raise ValueError(msg) from error
    shown = ", ".join(found) or "nothing"
    raise ValueError(f"has the arrays {shown}, it should have {', '.join(names)}")


def check_array(
    name: str, array: NDArray[Any], types: Collection[str], shape: tuple[int, ...]
) -> None:
    """Raises ValueError unless an array has one of the types, the shape, and finite numbers."""
    if array.dtype not in types or array.shape != shape:
        raise ValueError(
            f"{name} is {array.dtype} {array.shape}, it should be {' or '.join(types)} {shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} should be finite, and is not")


def _check_members(members: Collection[zipfile.ZipInfo], largest: int) -> None:
    for one in members:
        if one.flag_bits & _ENCRYPTED or one.compress_type not in _METHODS:
            msg = f"{one.filename} is encrypted, or compressed with a method other than deflate"
            raise ValueError(msg)
    if (size := sum(one.file_size for one in members)) > largest:
        raise ValueError(f"its arrays have {size} bytes, at most {largest} are expected")


def parse_array(content: bytes) -> NDArray[Any]:
    """The array of a `.npy` file (format 1.0, 2.0 or 3.0) as a read-only view of its bytes.

    Unpickles nothing, and allocates nothing of the size that a header announces.

    Raises:
        ArrayTypeError: the array has another type, such as objects, records, bools or complex.
        ValueError: not a `.npy` file, or the header does not match the size of the data.
    """
    file = io.BytesIO(content)
    shape, fortran_order, dtype = _read_header(file)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ArrayTypeError(f"of type {str(dtype)[:32]!r}")
    if len(shape) > _AXES or any(axis < 0 for axis in shape):
        raise ValueError(
            f"the .npy header's shape must have at most {_AXES} axes, none of them negative"
        )
    start, announced = file.tell(), math.prod(shape) * dtype.itemsize
    if len(content) - start != announced:
        raise ValueError(
            f"the .npy header announces {announced} bytes of data "
            f"(shape {shape}, {dtype.name}), but {len(content) - start} follow"
        )
    flat = np.frombuffer(content, dtype, offset=start) if announced else np.empty(0, dtype)
    try:
        return flat.reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, OverflowError) as error:
        # If one axis is 0, the others can have any size.
        raise ValueError(f"no array can have the shape in the .npy header: {error}") from error


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        read = _READERS[np.lib.format.read_magic(file)]
    except (KeyError, ValueError):
        raise ValueError("not a .npy file of format 1.0, 2.0 or 3.0") from None
    try:
        return read(file, max_header_size=_HEADER)
    except Exception as error:
        # NumPy evaluates the header as a literal, which can raise almost anything.
        if "dtype descriptor" in str(error):
            raise ArrayTypeError("of an unknown type") from None
        raise ValueError(
            "the .npy header must describe a plain array of floats or integers in at most "
            f"{_HEADER} bytes"
        ) from None
