"""Reads the numbers of nested JSON lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.pixels import Floats, finite_rows


def flatten(value: object, axes: Sequence[int], numbers: list[float]) -> str:
    """Appends the numbers of lists that are nested as long as `axes`.

    Returns:
        What the value has instead of such a list, in words; empty if it has none but such lists.
    """
    if not isinstance(value, list) or len(value) != axes[0]:
        found = f"{len(value)} entries" if isinstance(value, list) else kind_of(value)
        return f"{found} instead of a list of {axes[0]}"
    if len(axes) > 1:
        for inner in value:
            if wrong := flatten(inner, axes[1:], numbers):
                return wrong
        return ""
    if not set(map(type, value)) <= {float, int}:
        entry = next(entry for entry in value if type(entry) not in (float, int))
        return f"{kind_of(entry)} instead of a number"
    numbers.extend(value)
    return ""


def kind_of(value: object) -> str:
    """The JSON type of a value, in words."""
    names = {list: "a list", dict: "an object", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def as_float32(values: np.ndarray[Any, np.dtype[np.floating]]) -> tuple[Floats, int | None]:
    """The values [n, …] as float32, and the first row with one that is not finite, or None."""
    with np.errstate(over="ignore"):
        array = values.astype(np.float32, copy=False)
    finite = finite_rows(array)
    return array, None if finite.all() else int(np.argmin(finite))
