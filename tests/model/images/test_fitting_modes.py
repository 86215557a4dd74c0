"""Bit depths, colours and transparency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from model.images.reading import ImageError
from tests.image_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    chunk,
    drawing,
    png,
    saved,
)
from tests.model.fitting import fitted

GREY_16_BIT_KEY = 4369


def grey_levels(data: bytes, **options: int) -> list[int]:
    """The first row of the image, fitted to a grey model of its size."""
    image = fitted(data, channels=1, **options)  # type: ignore[arg-type]
    return [int(level) for level in image.pixels[0, :, 0]]


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, max_side=12)))
@settings(max_examples=50)
def test_a_image_of_the_models_size_keeps_its_pixels(values: NDArray[np.uint8]) -> None:
    """A grey or colour image that is what the model takes goes in as it is, without a step."""
    grey, colours = values[:, :, 0], np.stack([values[:, :, 0]] * 3, axis=2) + np.arange(3)
    colours = colours.astype(np.uint8)

    as_grey = fitted(saved(Image.fromarray(grey)), channels=1)
    as_colours = fitted(saved(Image.fromarray(colours)))

    np.testing.assert_array_equal(as_grey.pixels[:, :, 0], grey)
    np.testing.assert_array_equal(as_colours.pixels, colours)
    assert as_grey.steps == as_colours.steps == ()


@given(arrays.arrays(np.uint16, (3, 4)))
@settings(max_examples=50)
def test_sixteen_bit_grey_is_rounded(values: NDArray[np.uint16]) -> None:
    """16-bit grey levels go to the nearest of 256."""
    image = fitted(saved(Image.fromarray(values)), channels=1)

    np.testing.assert_array_equal(image.pixels[:, :, 0], np.rint(values / 257))
    assert image.steps == ("16 bits scaled to 8",)


@given(arrays.arrays(np.uint16, (3, 4, 3)))
@settings(max_examples=50)
def test_sixteen_bit_colours_come_within_a_level(values: NDArray[np.uint16]) -> None:
    """16-bit colours come within one of 256 levels, and the step is named."""
    rows = [row.astype(">u2").tobytes() for row in values]
    image = fitted(png(rows, 4, depth=16, colour=RGB))

    assert np.abs(image.pixels - values / 257).max() <= 1
    assert image.steps == ("16 bits scaled to 8",)


@pytest.mark.parametrize("background", [0, 100, 255])
@pytest.mark.parametrize(
    ("data", "opaque"),
    [
        pytest.param(png([b"\x0a\x32\xc8"], 3, extra=chunk(b"tRNS", b"\x00\x32")), 10, id="8-bit"),
        pytest.param(png([b"\x40"], 2, depth=1, extra=chunk(b"tRNS", b"\x00\x01")), 0, id="1-bit"),
        pytest.param(png([b"\x18"], 3, depth=2, extra=chunk(b"tRNS", b"\x00\x01")), 0, id="2-bit"),
        pytest.param(
            png([b"\x25\x80"], 3, depth=4, extra=chunk(b"tRNS", b"\x00\x05")), 34, id="4-bit"
        ),
        pytest.param(
            png(
                [np.array([0, GREY_16_BIT_KEY, 65535], ">u2").tobytes()],
                3,
                depth=16,
                extra=chunk(b"tRNS", GREY_16_BIT_KEY.to_bytes(2)),
            ),
            0,
            id="16-bit",
        ),
        pytest.param(
            png(
                [bytes([9, 9, 9, 1, 2, 3, 7, 7, 7])],
                3,
                colour=RGB,
                extra=chunk(b"tRNS", b"\x00\x01\x00\x02\x00\x03"),
            ),
            9,
            id="colour",
        ),
        pytest.param(
            png(
                [b"\x01\x01\x01\x01\x01\x01" + b"\x80\x01" * 3 + b"\x03\x01\x03\x01\x03\x01"],
                3,
                depth=16,
                colour=RGB,
                extra=chunk(b"tRNS", b"\x80\x01" * 3),
            ),
            1,
            id="16-bit colour",
        ),
        pytest.param(
            png(
                [b"\x00\x01\x02"],
                3,
                colour=PALETTE,
                extra=chunk(b"PLTE", bytes([20] * 3 + [60] * 3 + [90] * 3))
                + chunk(b"tRNS", b"\xff\x00"),
            ),
            20,
            id="palette",
        ),
        pytest.param(
            png([bytes([20, 255, 60, 0, 90, 255])], 3, colour=GREY_ALPHA), 20, id="grey with alpha"
        ),
        pytest.param(
            png([bytes([20] * 3 + [255] + [60] * 3 + [0] + [90] * 4)], 3, colour=RGBA),
            20,
            id="colour with alpha",
        ),
    ],
)
def test_transparent_pixels_show_the_background(data: bytes, opaque: int, background: int) -> None:
    """However a PNG says it, its second pixel is transparent here, and its first is not."""
    levels = grey_levels(data, background=background)

    assert levels[:2] == [opaque, background]


def test_half_transparent_pixels_mix() -> None:
    """Alpha mixes the pixel with the background in proportion."""
    data = png([bytes([200, 128])], 1, colour=GREY_ALPHA)

    assert grey_levels(data, background=0) == [100]
    assert grey_levels(data, background=255) == [227]


def test_an_opaque_alpha_channel_is_no_step() -> None:
    """An image with an alpha channel that hides nothing keeps its pixels, and no step is told."""
    image = Image.fromarray(drawing())
    image.putalpha(255)
    original = fitted(saved(image))

    np.testing.assert_array_equal(original.pixels, drawing())
    assert original.steps == ()
    assert original.mode == "RGBA"


@pytest.mark.parametrize(
    ("depth", "row", "levels"),
    [(1, b"\x40", [0, 255]), (2, b"\x1b", [0, 85, 170, 255]), (4, b"\x0f", [0, 255])],
)
def test_low_bit_depths_use_the_whole_range(depth: int, row: bytes, levels: list[int]) -> None:
    """The brightest value of a 1-, 2- or 4-bit grey is white."""
    assert grey_levels(png([row], len(levels), depth=depth, colour=GREY)) == levels


def test_colours_go_to_grey_by_the_standard() -> None:
    """Colours become grey with ITU-R 601's weights: 0.299, 0.587, 0.114."""
    data = png([bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])], 3, colour=RGB)

    assert grey_levels(data) == [76, 150, 29]


def test_grey_goes_to_equal_colours() -> None:
    """A colour model sees a grey image as equal red, green and blue, with no step to tell."""
    image = fitted(png([bytes([0, 77, 255])], 3))

    assert image.pixels.tolist() == [[[0, 0, 0], [77, 77, 77], [255, 255, 255]]]
    assert image.steps == ()


def test_cmyk_and_palettes_become_colours() -> None:
    """A CMYK JPEG's cyan is cyan, and a palette's entries are the colours that it lists."""
    cyan = fitted(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))
    listed = fitted(
        png([b"\x00\x01"], 2, colour=PALETTE, extra=chunk(b"PLTE", bytes([9, 8, 7, 6, 5, 4])))
    )

    assert np.abs(cyan.pixels.astype(int) - [0, 255, 255]).max() <= 2
    assert cyan.steps == listed.steps == ("converted to RGB",)
    assert listed.pixels.tolist() == [[[9, 8, 7], [6, 5, 4]]]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros((2, 2), np.float32), "floating-point"),
        (np.full((2, 2), 70_000, np.int32), "outside 0"),
        (np.full((2, 2), -1, np.int32), "outside 0"),
    ],
)
def test_pixels_without_a_range(values: NDArray[np.float32], why: str) -> None:
    """Floating-point pixels and integers beyond 16 bits have no grey level, and are refused."""
    with pytest.raises(ImageError, match=why):
        fitted(saved(Image.fromarray(values), "TIFF"), channels=1, formats=None)


def test_a_palette_that_is_missing() -> None:
    """Indices into no palette are no colours, and are refused."""
    with pytest.raises(ImageError, match="palette"):
        fitted(png([b"\x00\x01"], 2, colour=PALETTE))
