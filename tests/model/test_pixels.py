"""Layout, range, clamping and binarisation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model import pixels
from model.pixels import Images

images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=5))
ranges = st.sampled_from([(0.0, 1.0), (-1.0, 1.0)])


@given(images=images, value_range=ranges)
def test_to_float_and_back_is_exact(images: Images, value_range: tuple[float, float]) -> None:
    """Every uint8 image survives the way to float32 and back, in any range."""
    back = pixels.to_uint8(pixels.to_float(images, value_range), value_range)

    np.testing.assert_array_equal(back, images)


@given(images=images)
def test_layout(images: Images) -> None:
    """Inside, channels come before height and width, and values lie in 0 … 1."""
    floats = pixels.to_float(images)
    count, height, width, channels = images.shape

    assert floats.dtype == np.float32
    assert floats.flags.c_contiguous
    assert floats.shape == (count, channels, height, width)
    assert floats[0, -1, 0, -1] == pytest.approx(images[0, 0, -1, -1] / 255)
    assert floats.min() >= 0
    assert floats.max() <= 1


def test_out_of_range_values_are_clamped() -> None:
    """Values beyond the range become black and white, never wrap around."""
    values = np.array([-9, -0.001, 0.4981, 1.001, 300], dtype=np.float32).reshape(1, 1, 1, 5)

    assert pixels.to_uint8(values).ravel().tolist() == [0, 0, 127, 255, 255]


def test_to_uint8_keeps_its_argument() -> None:
    """The array that is converted is not changed."""
    values = np.full((1, 1, 2, 2), 0.3, dtype=np.float32)

    pixels.to_uint8(values)

    assert (values == np.float32(0.3)).all()


@given(images=images, how=st.sampled_from(["sample", "threshold"]), seed=st.integers(0, 2**53 - 1))
def test_binarised_images_are_black_and_white(
    images: Images, how: Literal["sample", "threshold"], seed: int
) -> None:
    """Only 0 and 255 are left, and black and white pixels stay what they are."""
    binary = pixels.binarise(images, how, seed=seed)

    assert set(np.unique(binary)) <= {0, 255}
    np.testing.assert_array_equal(binary[images == 0], 0)
    np.testing.assert_array_equal(binary[images == 255], 255)


def test_threshold_cuts_at_one_half() -> None:
    """127 becomes black and 128 white."""
    grey = np.array([127, 128], dtype=np.uint8).reshape(1, 1, 2, 1)

    assert pixels.binarise(grey, "threshold").ravel().tolist() == [0, 255]


@pytest.mark.parametrize("grey", [26, 128, 200])
def test_sampling_keeps_the_mean(grey: int) -> None:
    """Sampled pixels are white with their grey value as probability."""
    flat = np.full((1, 200, 200, 1), grey, dtype=np.uint8)
    probability = grey / 255
    error = np.sqrt(probability * (1 - probability) / flat.size)

    share = (pixels.binarise(flat, "sample", seed=1) == 255).mean()

    assert abs(share - probability) < 4 * error


@given(images=images, seed=st.integers(0, 1000))
def test_a_image_is_binarised_alike_in_any_batch(images: Images, seed: int) -> None:
    """The first image's bits do not depend on how many follow it."""
    whole = pixels.binarise(images, "sample", seed=seed)
    alone = pixels.binarise(images[:1], "sample", seed=seed)

    np.testing.assert_array_equal(whole[:1], alone)
