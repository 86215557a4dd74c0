"""Turns nested JSON lists or an array into checked latents, float32 [n, *shape]."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from app.codecs.lists import as_float32, flatten
from app.errors import InvalidFieldError
from model.bundle.manifest import VARIES
from model.pixels import Floats

FIELD = "latents"

# The limits of JSON for variable shapes; a .npy file takes no memory beside its array.
_VARYING_VALUES = 1 << 20
_VARYING_LISTS = 1 << 16

Shape = tuple[int, ...]
"""A shape without the batch axis; −1 for an axis of any length, equal in all rows."""


@lru_cache(maxsize=64)
def json_size(shape: Shape, n: int) -> tuple[int, int]:
    """Returns the most numbers and the most lists that n latents take as JSON."""
    if VARIES in shape:
        return _VARYING_VALUES, _VARYING_LISTS
    lists = 1 + sum(math.prod(shape[:axis]) for axis in range(1, len(shape)))
    return n * math.prod(shape), n * lists


def from_lists(value: object, shape: Shape, max_n: int) -> Floats:
    """Nested lists of numbers, with or without the batch axis, as float32 [n, *shape].

    Raises:
        InvalidFieldError: the nesting is wrong, a value is not a finite float32, or the number of
            latents is 0 or above `max_n`.
    """
    if not isinstance(value, list):
        raise _error("must be nested lists of numbers", shape)
    rows = [value] if value and len(_lengths(value)) == len(shape) else value
    _check_count(len(rows), shape, max_n)
    found = (*_lengths(rows[0]), *(1 for _ in shape))
    axes = [
        max(1, length) if wanted == VARIES else wanted
        for length, wanted in zip(found, shape, strict=False)
    ]
    numbers: list[float] = []
    for index, row in enumerate(rows):
        if wrong := flatten(row, axes, numbers):
            raise _error(f"row {index} has {wrong}", shape, index)
    return _finite(np.array(numbers, dtype=np.float64).reshape(-1, *axes))


def from_array(array: Floats, shape: Shape, max_n: int) -> Floats:
    """A float32 array, with or without the batch axis, as float32 [n, *shape].

    Raises:
        InvalidFieldError: the shape is wrong, a value is not finite, or the number of latents
            is 0 or above `max_n`.
    """
    batch = array[np.newaxis] if _fits(array.shape, shape) else array
    if not batch.ndim or not _fits(batch.shape[1:], shape):
        raise _error(f"have shape {list(array.shape)}", shape)
    _check_count(len(batch), shape, max_n)
    return _finite(batch)


def _fits(found: Shape, shape: Shape) -> bool:
    return len(found) == len(shape) and all(
        wanted in (length, VARIES) and length for length, wanted in zip(found, shape, strict=True)
    )


def _lengths(value: object) -> Shape:
    """The lengths of a list, of its first entry, of that one's first entry and so on."""
    lengths = []
    while isinstance(value, list):
        lengths.append(len(value))
        value = value[0] if value else None
    return tuple(lengths)


def _check_count(n: int, shape: Shape, max_n: int) -> None:
    if n == 0:
        raise _error("are empty; send at least one", shape)
    if n > max_n:
        raise _error(f"are {n}, but a request may have at most {max_n}", shape, limit=max_n)


def _finite(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Floats:
    latents, index = as_float32(values)
    if index is not None:
        msg = f"row {index} has a value that is not a finite float32"
        raise _error(msg, latents.shape[1:], index)
    return latents


def _error(
    what: str, shape: Shape, index: int | None = None, *, limit: int | None = None
) -> InvalidFieldError:
    axes = ", ".join("any" if size == VARIES else str(size) for size in shape)
    msg = f"{FIELD} {what}; they must be finite numbers of shape [n, {axes}] or [{axes}]"
    return InvalidFieldError(msg, field=FIELD, index=index, limit=limit)
