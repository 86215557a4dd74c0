"""Tensors: what goes in comes out, and what does not add up is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import InvalidFieldError
from app.protocols.oip.model_names import Tensor, shown
from app.protocols.oip.tensors import (
    LARGEST_AXIS,
    check_shape,
    from_binary,
    from_json,
)
from model.pixels import Floats
from tests.app.protocols.oip.wire import IMAGE, rows

TENSORS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=4, max_side=3),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(TENSORS, st.integers(0, 7))
def test_tensors_survive_both_ways_of_sending(array: Floats, offset: int) -> None:
    """Bytes at any address, flat lists and nested lists give the array, bit for bit."""
    content = memoryview(bytes(offset) + array.tobytes())[offset:]
    for read in (
        from_binary("x", content, array.shape),
        from_json("x", array.ravel().tolist(), array.shape),
        from_json("x", array.tolist(), array.shape),
    ):
        assert read.dtype == np.float32
        assert read.shape == array.shape
        assert read.tobytes() == array.tobytes()
        assert read.flags.aligned
        assert read.flags.c_contiguous


@pytest.mark.parametrize("size", [0, 23, 25, 48])
def test_bytes_must_be_those_of_the_shape(size: int) -> None:
    """Too few bytes and too many are refused, with how many there should be."""
    with pytest.raises(InvalidFieldError, match=f"has {size} bytes.* has 24") as wrong:
        from_binary("image", memoryview(bytes(size)), (1, 1, 2, 3))
    assert wrong.value.limit == 24


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_are_finite(value: float) -> None:
    """A value that is no number is refused with its row, sent as bytes or beyond float32."""
    array = rows(3)
    array[1, 0, 1, 2] = value
    with pytest.raises(InvalidFieldError, match="row 1 of input 'image'") as wrong:
        from_binary("image", memoryview(array.tobytes()), array.shape)
    assert wrong.value.index == 1
    with pytest.raises(InvalidFieldError, match="row 0"):
        from_json("image", [1e39] * 6, (1, 1, 2, 3))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "null; send a list"),
        ("AAAA", "a string; send a list"),
        ({}, "an object"),
        ([], "0 entries instead of a list of 6 in its data"),
        ([1] * 5, "5 entries instead of a list of 6 in its data"),
        ([1] * 7, "7 entries"),
        ([1, 2, 3, 4, 5, None], "null instead of a number in its data"),
        ([1, 2, 3, 4, 5, True], "a boolean"),
        ([1, 2, 3, 4, 5, "6"], "a string"),
        ([1, 2, 3, 4, 5, [6]], "a list instead of a number in its data"),
        ([[1, 2, 3, 4, 5, 6]], "6 entries instead of a list of 1 in its data"),
        ([[[1, 2, 3], [4, 5, 6]]], "2 entries instead of a list of 1 in its data"),
        ([[[[1, 2, 3], [4, 5]]]], "2 entries instead of a list of 3 in its data"),
        ([[[[1, 2, 3], 4]]], "a number instead of a list of 3 in its data"),
        ([[[[1, 2, 3], [4, 5, [6]]]]], "a list instead of a number in its data"),
    ],
)
def test_json_data_must_fit_the_shape(data: Any, words: str) -> None:
    """Wrong lengths, other nestings and what is no number are refused in words."""
    with pytest.raises(InvalidFieldError, match=words):
        from_json("image", data, (1, 1, 2, 3))


@given(ANYTHING)
def test_any_json_is_data_or_refused(data: Any) -> None:
    """Whatever JSON holds, it is an array of the shape or the error of the field."""
    try:
        array = from_json("image", data, (1, 2))
    except InvalidFieldError as error:
        assert error.field == "data"  # noqa: PT017
    else:
        assert array.tolist() == [list(np.asarray(data, np.float32).ravel())]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1],
        [1, 1, 2, 4],
        [1, 1, 2, 3, 1],
        [6],
        [1, 1, -2, -3],
        [-1, 1, 2, 3],
        [0, 1, 2, 3],
        [9, 1, 2, 3],
        [2**64, 2**64, 2, 3],
        [2**32, 1, 2, 3],
    ],
)
def test_a_shape_is_rows_of_the_tensor(value: Any) -> None:
    """Negative, overflowing and foreign shapes are refused, rows below 1 and above the limit."""
    with pytest.raises(InvalidFieldError, match="input 'image'"):
        check_shape(IMAGE, value, 8)
    assert check_shape(IMAGE, [8, 1, 2, 3], 8) == (8, 1, 2, 3)


def test_axes_of_any_length() -> None:
    """Where the model leaves an axis open, any positive length fits that a body could hold."""
    tensor = Tensor("image", (3, -1, -1))
    assert check_shape(tensor, [2, 3, 7, LARGEST_AXIS], 8) == (2, 3, 7, LARGEST_AXIS)
    for shape in ([2, 3, 0, 7], [2, 3, -1, 7], [2, 3, 7, LARGEST_AXIS + 1], [2, 4, 7, 7]):
        with pytest.raises(InvalidFieldError, match=r"\[n, 3, any, any\]"):
            check_shape(tensor, shape, 8)


def test_values_in_messages_are_short() -> None:
    """However much is wrong, a message shows little of it."""
    for value in ("x" * 10**6, [1] * 10**6, {"a": "b" * 10**6}, [[1] * 10**4] * 20):
        assert len(shown(value)) <= 81
