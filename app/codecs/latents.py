"""Turns nested JSON lists or an array into checked latents, float32 [n, *shape]."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from app.errors import InvalidFieldError
from model.bundle.manifest import VARIES
from model.pixels import Floats, finite_rows

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
        msg = "must be nested lists of numbers"
        raise _error(msg, shape)
    rows = [value] if value and _depth(value) == len(shape) else value
    _check_count(len(rows), shape, max_n)
    axes = _as_first(rows[0], shape)
    numbers: list[float] = []
    for index, row in enumerate(rows):
        _flatten(row, axes, index, shape, numbers)
    return _finite(np.array(numbers, dtype=np.float64).reshape(-1, *axes))


def from_array(array: Floats, shape: Shape, max_n: int) -> Floats:
    """A float32 array, with or without the batch axis, as float32 [n, *shape].

    Raises:
        InvalidFieldError: the shape is wrong, a value is not finite, or the number of latents
            is 0 or above `max_n`.
    """
    batch = array[np.newaxis] if _fits(array.shape, shape) else array
    if not batch.ndim or not _fits(batch.shape[1:], shape):
        msg = f"have shape {list(array.shape)}"
        raise _error(msg, shape)
    _check_count(len(batch), shape, max_n)
    return _finite(batch)


def _fits(found: Shape, shape: Shape) -> bool:
    return len(found) == len(shape) and all(
        wanted in (length, VARIES) and length for length, wanted in zip(found, shape, strict=True)
    )


def _as_first(row: object, shape: Shape) -> Shape:
    """Returns the shape, its variable axes replaced by the lengths of the first row."""
    lengths = []
    for wanted in shape:
        found = len(row) if isinstance(row, list) else 0
        lengths.append(max(1, found) if wanted == VARIES else wanted)
        row = row[0] if isinstance(row, list) and row else None
    return tuple(lengths)


def _depth(value: object) -> int:
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else None
    return depth


def _flatten(value: object, axes: Shape, index: int, shape: Shape, out: list[float]) -> None:
    if not isinstance(value, list) or len(value) != axes[0]:
        found = f"{len(value)} entries" if isinstance(value, list) else _kind(value)
        msg = f"row {index} has {found} instead of a list of {axes[0]}"
        raise _error(msg, shape, index)
    if len(axes) > 1:
        for inner in value:
            _flatten(inner, axes[1:], index, shape, out)
        return
    if not set(map(type, value)) <= {float, int}:
        wrong = next(entry for entry in value if type(entry) not in (float, int))
        msg = f"row {index} has {_kind(wrong)} instead of a number"
        raise _error(msg, shape, index)
    out.extend(value)


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def _check_count(n: int, shape: Shape, max_n: int) -> None:
    if n == 0:
        msg = "are empty; send at least one"
        raise _error(msg, shape)
    if n > max_n:
        msg = f"are {n}, but a request may have at most {max_n}"
        raise _error(msg, shape, limit=max_n)


def _finite(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Floats:
    with np.errstate(over="ignore"):
        latents = values.astype(np.float32, copy=False)
    finite = finite_rows(latents)
    if not finite.all():
        index = int(np.argmin(finite))
        msg = f"row {index} has a value that is not a finite float32"
        raise _error(msg, latents.shape[1:], index)
    return latents


def _error(
    what: str, shape: Shape, index: int | None = None, *, limit: int | None = None
) -> InvalidFieldError:
    axes = ", ".join("any" if size == VARIES else str(size) for size in shape)
    msg = f"{FIELD} {what}; they must be finite numbers of shape [n, {axes}] or [{axes}]"
    return InvalidFieldError(msg, field=FIELD, index=index, limit=limit)
