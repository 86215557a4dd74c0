"""What is packed, cropped and scaled before a graph sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidFieldError, MalformedRequestError, ServiceError
from app.protocols.remote_vae.query import DTYPES, DecodeQuery, Dtype, EncodeQuery
from app.protocols.remote_vae.tensors import dump, latents, load, pixels, to_range
from model.bundle.layout import InputSpec, LatentSpec
from tests import arithmetic_maps
from tests.arithmetic_maps import SCALING, SHIFT

MAPS = arithmetic_maps.manifest()
ROWS = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)


def asked(shape: tuple[int, ...], **changes: Any) -> DecodeQuery:
    """By default the latents have the model's own scaling."""
    return DecodeQuery.model_construct(shape=shape, dtype="float32", do_scaling=True, **changes)


def sent(shape: tuple[int, ...], dtype: Dtype) -> EncodeQuery:
    return EncodeQuery.model_construct(shape=shape, dtype=dtype)


def test_the_model_s_own_scaling_changes_no_bit() -> None:
    """Whether the client names the manifest's factors or leaves them to it."""
    for factors in ({}, {"scaling_factor": SCALING, "shift_factor": SHIFT}):
        found = latents(ROWS.tobytes(), asked(ROWS.shape, **factors), MAPS, 2)
        np.testing.assert_array_equal(found, ROWS)


def test_other_scaling_is_brought_to_the_model_s_own() -> None:
    """Latents of the client's factors become those that the model serves."""
    found = latents(
        ROWS.tobytes(), asked(ROWS.shape, scaling_factor=2.0, shift_factor=1.0), MAPS, 2
    )

    np.testing.assert_allclose(found, (ROWS / 2 + 1 - SHIFT) * SCALING, rtol=1e-6)


def test_packed_latents_are_put_back_where_they_were() -> None:
    """[n, 2·3, 3·4]: each entry holds a square of 2×2, channel by channel."""
    packed = np.zeros((2, 6, 12), np.float32)
    for n, c, y, x in np.ndindex(ROWS.shape):
        packed[n, y // 2 * 3 + x // 2, c * 4 + y % 2 * 2 + x % 2] = ROWS[n, c, y, x]

    for size in ((8, 12), (10, 15)):
        found = latents(
            packed.tobytes(), asked(packed.shape, height=size[0], width=size[1]), MAPS, 2
        )
        np.testing.assert_array_equal(found, ROWS)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 6, 12), None), ((2, 6, 12), (8, 8)), ((2, 6, 11), (8, 12)), ((2, 6, 16), (8, 12))],
)
def test_what_is_not_packed_so_is_refused(
    shape: tuple[int, ...], size: tuple[int, int] | None
) -> None:
    """Without a size, of another size, or with other channels."""
    height, width = size or (None, None)
    with pytest.raises(InvalidFieldError):
        latents(bytes(4 * int(np.prod(shape))), asked(shape, height=height, width=width), MAPS, 2)


def test_images_are_cropped_around_the_centre() -> None:
    """An odd rest leaves at the bottom and the right."""
    rows = np.random.default_rng(0).uniform(-1, 1, (1, 3, 7, 14)).astype(np.float32)
    found = pixels(rows.tobytes(), sent(rows.shape, "float32"), MAPS, 1)

    np.testing.assert_array_equal(found, rows[:, :, 1:5, 1:13])
    assert found.flags.c_contiguous


def test_a_model_of_one_size_crops_nothing() -> None:
    """Its images have that size, or are refused."""
    fixed = arithmetic_maps.manifest(
        input=InputSpec(channels=3, height=8, width=12, order="RGB"),
        latent=LatentSpec(shape=(3, 4, 6)),
    )
    query = sent((1, 3, 8, 12), "uint8")
    found = pixels(bytes([255]) * 288, query, fixed, 1)
    assert (found == 1).all()
    with pytest.raises(InvalidFieldError, match=r"\[n, 3, 8, 12\], the model's size"):
        pixels(bytes(300), sent((1, 3, 10, 10), "uint8"), fixed, 1)
    np.testing.assert_array_equal(latents(ROWS.tobytes(), asked(ROWS.shape), fixed, 2), ROWS)


def test_ranges_are_mapped_end_to_end() -> None:
    """The ends of one are those of the other, and nothing is clamped."""
    values = np.array([-2, -1, 0, 1], np.float32)

    np.testing.assert_allclose(to_range(values, (-1, 1), (0, 1)), [-0.5, 0, 0.5, 1])
    assert to_range(values, (-1, 1), (-1, 1)) is values


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
