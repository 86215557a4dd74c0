"""Latents from outside have the right shape and are finite, or are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from app.codecs.latents import from_array, from_lists
from app.errors import InvalidFieldError

SHAPES = [(3,), (2, 3), (1, 2, 3)]
MAPS = (2, -1, -1)


@given(st.data())
def test_lists_and_arrays_agree(data: st.DataObject) -> None:
    """Nested lists of any latent shape give the array that they list, bit by bit."""
    shape = data.draw(st.sampled_from(SHAPES))
    n = data.draw(st.integers(1, 4))
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    array = data.draw(arrays.arrays(np.float32, (n, *shape), elements=finite))

    listed, given_array = from_lists(array.tolist(), shape, 4), from_array(array, shape, 4)

    assert listed.dtype == given_array.dtype == np.float32
    assert listed.tobytes() == given_array.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_single_latent_is_a_batch_of_one(shape: tuple[int, ...]) -> None:
    """Without the batch axis there is one latent."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    assert from_lists(array.tolist(), shape, 1).shape == (1, *shape)
    assert from_array(array, shape, 1).shape == (1, *shape)


@given(st.data())
def test_lengths_that_vary_are_those_that_come(data: st.DataObject) -> None:
    """Where an axis may have any length, lists and arrays give the same, with and without batch."""
    shape = (2, *data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4))))
    n = data.draw(st.integers(1, 3))
    array = np.arange(n * np.prod(shape), dtype=np.float32).reshape(n, *shape)
    for sent in (array, array[0]):
        for latents in (from_lists(sent.tolist(), MAPS, 3), from_array(sent, MAPS, 3)):
            np.testing.assert_array_equal(latents, sent.reshape(-1, *shape))


@pytest.mark.parametrize(
    "value",
    [
        [[[[1, 2], [3]], [[1, 2], [3, 4]]]],
        [[[[1, 2]], [[1, 2], [3, 4]]]],
        [[[[1]], [[2]]], [[[1, 2]], [[1, 2]]]],
        [[[[]], [[]]]],
        [[[], []]],
        [[[[1]]]],
        [[], []],
    ],
)
def test_rows_of_several_sizes_are_refused(value: object) -> None:
    """Whatever length varies, it is the same for all rows and lists, and not 0."""
    with pytest.raises(InvalidFieldError, match=r"shape \[n, 2, any, any\]"):
        from_lists(value, MAPS, 3)


@pytest.mark.parametrize("shape", [(2, 0, 3), (1, 2, 3, 0), (3, 2, 2), (0, 2, 1, 1), (2,), ()])
def test_arrays_without_a_size_are_refused(shape: tuple[int, ...]) -> None:
    """An axis of length 0, or another number of channels."""
    with pytest.raises(InvalidFieldError):
        from_array(np.zeros(shape, np.float32), MAPS, 3)


def test_whole_numbers_are_numbers() -> None:
    """Integers and floats may stand beside each other."""
    assert from_lists([[1, 2.5, -3]], (3,), 1).tolist() == [[1.0, 2.5, -3.0]]


@pytest.mark.parametrize(
    ("value", "index", "what"),
    [
        (5, None, "nested lists of numbers"),
        ("text", None, "nested lists of numbers"),
        (None, None, "nested lists of numbers"),
        ({"a": 1}, None, "nested lists of numbers"),
        ([], None, "at least one"),
        ([[]], 0, "row 0 has 0 entries instead of a list of 2"),
        ([[1, 2], [1, 2, 3]], 1, "row 1 has 3 entries"),
        ([[1, 2], [1]], 1, "row 1 has 1 entries"),
        ([[1, 2], 3], 1, "row 1 has a number instead of a list of 2"),
        ([[1, 2], None], 1, "row 1 has null instead of a list of 2"),
        ([[1, 2], {}], 1, "row 1 has an object instead of a list of 2"),
        ([[1, "2"]], 0, "row 0 has a string instead of a number"),
        ([[1, True]], 0, "row 0 has a boolean instead of a number"),
        ([[1, None]], 0, "row 0 has null instead of a number"),
        ([[1, [2]]], 0, "row 0 has a list instead of a number"),
        ([[[1, 2]]], 0, "row 0 has 1 entries"),
        ([[1, 2]] * 4, None, "are 4, but a request may have at most 3"),
        ([[1, 2], [1e39, 0]], 1, "row 1 has a value that is not a finite float32"),
        ([[1, 2], [-1e39, 0]], 1, "row 1 has a value that is not a finite float32"),
    ],
)
def test_bad_lists(value: Any, index: int | None, what: str) -> None:
    """The error names the row, what is wrong with it, and the shape that is right."""
    with pytest.raises(InvalidFieldError, match=what) as caught:
        from_lists(value, (2,), 3)
    assert (caught.value.field, caught.value.index) == ("latents", index)
    assert "shape [n, 2] or [2]" in caught.value.detail


@pytest.mark.parametrize(
    ("array", "index", "what"),
    [
        (np.zeros((), np.float32), None, r"have shape \[\]"),
        (np.zeros((3,), np.float32), None, r"have shape \[3\]"),
        (np.zeros((1, 3), np.float32), None, r"have shape \[1, 3\]"),
        (np.zeros((1, 1, 2), np.float32), None, r"have shape \[1, 1, 2\]"),
        (np.zeros((0, 2), np.float32), None, "at least one"),
        (np.zeros((4, 2), np.float32), None, "are 4, but a request may have at most 3"),
        (np.array([[0, 0], [0, np.nan]], np.float32), 1, "row 1"),
        (np.array([np.inf, 0], np.float32), 0, "row 0"),
    ],
)
def test_bad_arrays(array: NDArray[np.float32], index: int | None, what: str) -> None:
    """An array of another shape, none, too many, or not finite: the error says which."""
    with pytest.raises(InvalidFieldError, match=what) as caught:
        from_array(array, (2,), 3)
    assert (caught.value.field, caught.value.index) == ("latents", index)


def test_too_many_have_a_bound() -> None:
    """The error for too many latents carries the bound."""
    with pytest.raises(InvalidFieldError) as caught:
        from_lists([[0, 0]] * 4, (2,), 3)
    assert caught.value.limit == 3


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=12,
)


@given(NESTED, st.sampled_from(SHAPES))
def test_any_nesting(value: Any, shape: tuple[int, ...]) -> None:
    """Whatever is nested, latents of the right shape come out or the error."""
    with contextlib.suppress(InvalidFieldError):
        latents = from_lists(value, shape, 3)
        assert latents.shape[1:] == shape
        assert np.isfinite(latents).all()
