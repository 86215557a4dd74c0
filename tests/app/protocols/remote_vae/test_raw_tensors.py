"""Bytes are what shape and type say, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedRequestError, ServiceError
from app.protocols.remote_vae.query import DTYPES, Dtype
from app.protocols.remote_vae.tensors import dump, load

TORCH = {
    "float16": torch.float16,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
}


def torch_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_floats_are_read_as_torch_wrote_them(dtype: Dtype) -> None:
    """Every value arrives as the float32 that torch makes of it."""
    sent = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).to(TORCH[dtype])

    np.testing.assert_array_equal(load(torch_bytes(sent), (2, 3, 4), dtype), sent.float().numpy())


def test_bytes_keep_their_values() -> None:
    """uint8 is not brought to any range."""
    assert load(b"\x00\x80\xff", (3,), "uint8").tolist() == [0.0, 128.0, 255.0]


@given(st.lists(st.floats(width=32), min_size=1, max_size=64))
def test_bfloat16_is_rounded_as_torch_rounds(values: list[float]) -> None:
    """To the nearest, ties to even, over all of float32; what is no number stays none."""
    array = np.array(values, np.float32)
    written = load(dump(array, "bfloat16"), array.shape, "bfloat16")

    np.testing.assert_array_equal(written, torch.from_numpy(array).bfloat16().float().numpy())


def test_bfloat16_ties_and_ends() -> None:
    """Half-way values go to the even neighbour; the largest float32 becomes infinite."""
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7FC00001], np.uint32)
    written = np.frombuffer(dump(bits.view(np.float32), "bfloat16"), np.uint16)

    assert written.tolist() == [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7FC0]


def test_beyond_float16_is_infinite() -> None:
    """A value that the type has no room for is not wrapped, and nothing is raised."""
    assert np.frombuffer(dump(np.array([1e6, 0.5], np.float32), "float16"), "<f2").tolist() == [
        np.inf,
        0.5,
    ]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3,), "float32"), ((2,), "float16"), ((9,), "uint8"), ((2**31, 2**31, 2**31), "float32")],
)
def test_sizes_that_do_not_add_up_are_refused(shape: tuple[int, ...], dtype: Dtype) -> None:
    """However large a shape is, its product does not wrap around to the number of bytes."""
    with pytest.raises(MalformedRequestError, match="and the body has 8"):
        load(bytes(8), shape, dtype)


@given(
    st.binary(max_size=64),
    st.lists(st.integers(1, 2**70), min_size=1, max_size=8).map(tuple),
    st.sampled_from(DTYPES),
)
def test_whatever_comes_is_an_array_or_refused(
    data: bytes, shape: tuple[int, ...], dtype: Dtype
) -> None:
    """Bytes, shapes and types from anywhere raise nothing that a caller is not told."""
    try:
        array = load(data, shape, dtype)
    except ServiceError:
        return
    assert array.shape == shape
    assert array.dtype == np.float32
