"""Images in; PNG, animations and sheets out."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from app.codecs.images import (
    UNKNOWN_PIXELS,
    announced_pixels,
    base64_png,
    decode,
    decoding_size,
    gif,
    grid,
    jpeg,
    png,
    strip,
    webp,
)
from app.errors import ImageTooLargeError, InvalidImageError
from model.bundle.manifest import InputSpec, Preprocessing
from model.images.fitting import Fitted
from model.pixels import Images
from tests.image_files import drawing, header, saved

FOLDER = Path(__file__).parents[2] / "data" / "images"
SPEC = InputSpec(channels=3, height=30, width=40, order="RGB")
IMAGES = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
)


def decoded(data: bytes, index: int = 0, max_pixels: int = 10_000) -> Fitted:
    return decode(
        data, index=index, spec=SPEC, preprocessing=Preprocessing(), max_pixels=max_pixels
    )


def opened(data: bytes) -> NDArray[np.uint8]:
    """The image as Pillow, which checks every checksum, reads it: uint8 [h, w, c]."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        assert image.mode in ("L", "RGB")
        return np.atleast_3d(np.asarray(image))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_decodes(kind: str) -> None:
    """A lossless image of the model's size comes out as the pixels that went in."""
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decoded(saved(Image.fromarray(drawing()), kind, **options))

    np.testing.assert_array_equal(image.pixels, drawing())


@pytest.mark.parametrize(
    "name",
    [
        "empty.png",
        "noise.png",
        "text.jpg",
        "truncated.png",
        "truncated.jpg",
        "truncated.webp",
        "header-only.png",
        "picture.gif",
        "picture.bmp",
    ],
)
def test_unusable_images(name: str) -> None:
    """What is no PNG, JPEG or WebP, or a broken one, is refused and named by its index."""
    with pytest.raises(InvalidImageError, match="image 4: ") as caught:
        decoded((FOLDER / name).read_bytes(), index=4)
    assert (caught.value.field, caught.value.index) == ("images", 4)


def test_enormous_images() -> None:
    """An image whose header announces too many pixels is refused with the bound."""
    with pytest.raises(ImageTooLargeError, match="image 2: 30000×30000") as caught:
        decoded((FOLDER / "enormous.png").read_bytes(), index=2)
    assert (caught.value.index, caught.value.limit) == (2, 10_000)


@given(IMAGES)
def test_png_round_trip(images: NDArray[np.uint8]) -> None:
    """A PNG written here is read by Pillow as the same pixels."""
    np.testing.assert_array_equal(opened(png(images[0])), images[0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("steep", [True, False])
def test_large_pngs_round_trip(channels: int, steep: bool) -> None:
    """Images large enough for a filter keep their pixels with it and without it."""
    rows, columns = np.indices((70, 80))
    levels = (rows * 97 + columns * 31) if steep else (rows + columns)
    image = np.repeat(levels[:, :, None] % 256, channels, axis=2).astype(np.uint8)

    np.testing.assert_array_equal(opened(png(image)), image)


def test_smooth_images_get_small() -> None:
    """A filter makes a smooth image's PNG many times smaller than its pixels."""
    image = np.add.outer(np.arange(100), np.arange(100))[:, :, None].astype(np.uint8)

    assert len(png(image)) < image.size / 20


def test_strided_arrays() -> None:
    """An array that is a view of another is written as what it shows."""
    image = np.ascontiguousarray(drawing())[::-1, ::2]

    np.testing.assert_array_equal(opened(png(image)), image)


def test_base64() -> None:
    """The base64 form holds the very same file."""
    assert base64.b64decode(base64_png(drawing()), validate=True) == png(drawing())


@given(IMAGES)
def test_grids(images: NDArray[np.uint8]) -> None:
    """Every image lies at its place in row-major order, two pixels apart; the rest is black."""
    n, height, width, channels = images.shape
    sheet = grid(images).copy()
    columns = next(count for count in range(1, 9) if count * count >= n)
    rows = -(-n // columns)

    assert sheet.shape == (rows * (height + 2) - 2, columns * (width + 2) - 2, channels)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        cell = sheet[top : top + height, left : left + width]
        np.testing.assert_array_equal(cell, image)
        cell[:] = 0
    assert not sheet.any()


def test_a_grid_of_one() -> None:
    """One image alone is no grid but itself."""
    np.testing.assert_array_equal(grid(drawing()[None]), drawing())


@given(images=IMAGES)
def test_strips(images: NDArray[np.uint8]) -> None:
    """All images lie in one row in order, two black pixels apart."""
    sheet = strip(images).copy()
    width = images.shape[2]
    assert sheet.shape == (images.shape[1], len(images) * (width + 2) - 2, images.shape[3])
    for index, image in enumerate(images):
        cell = sheet[:, index * (width + 2) :][:, :width]
        np.testing.assert_array_equal(cell, image)
        cell[:] = 0
    assert not sheet.any()


def test_announced_pixels() -> None:
    """A small PNG's header tells its pixels; anything else counts as large."""
    assert announced_pixels(saved(Image.new("L", (28, 20)))) == 560
    assert announced_pixels(header(30_000, 30_000)) == 900_000_000
    for kind, options in (("JPEG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})):
        assert announced_pixels(saved(Image.new("RGB", (28, 20)), kind, **options)) == 560
    for nothing in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x02" + bytes(99), b"RIFF1234WEBPVP8 "):
        assert announced_pixels(nothing) == UNKNOWN_PIXELS


def test_decoding_size() -> None:
    """Plain PNGs count as their pixels; other kinds and files with much beside them as large."""
    small = Image.new("L", (28, 20))
    assert decoding_size(saved(small)) == 560
    assert decoding_size(saved(small, "JPEG")) == UNKNOWN_PIXELS
    assert decoding_size(saved(small) + bytes(70_000)) == UNKNOWN_PIXELS
    assert decoding_size(b"") == UNKNOWN_PIXELS


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_the_image(channels: int) -> None:
    """A JPEG file of a smooth image, in its colours, differs by a few grey levels at most."""
    ramp = np.linspace(0, 255, 32 * 24).reshape(32, 24, 1).repeat(channels, axis=2)
    image = ramp.astype(np.uint8)
    with Image.open(io.BytesIO(jpeg(image))) as found:
        assert (found.format, found.mode) == ("JPEG", "L" if channels == 1 else "RGB")
        back = np.asarray(found).reshape(image.shape)
    assert np.abs(back.astype(int) - image).max() <= 4


def frames(n: int, channels: int) -> Images:
    """Random images uint8 [n, 12, 10, c], of few enough colours for a GIF to keep."""
    drawn = np.random.default_rng(0).integers(0, 256, (n, 12, 10, channels))
    return drawn.astype(np.uint8)


def read(content: bytes, mode: str) -> tuple[Images, list[int]]:
    """The frames [n, h, w, c] and how long each stays."""
    file = Image.open(io.BytesIO(content))
    assert file.info["loop"] == 0
    shown, times = [], []
    for frame in ImageSequence.Iterator(file):
        shown.append(np.asarray(frame.convert(mode)).reshape(file.height, file.width, -1))
        times.append(frame.info["duration"])
    return np.stack(shown), times


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_keeps_every_pixel(channels: int) -> None:
    """Frames come back exactly, as often as they were given and for as long."""
    given = frames(5, channels)
    shown, _ = read(webp(given, 45), "RGB")
    assert (shown == given).all()
    assert Image.open(io.BytesIO(webp(given, 45))).format == "WEBP"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_gif_keeps_grey_levels_and_few_colours(channels: int, mode: str) -> None:
    """Frames of at most 256 colours come back exactly, at times of hundredths of a second."""
    given = frames(5, channels)
    shown, times = read(gif(given, 45), mode)
    assert (shown == given).all()
    assert times == [40] * 5


def test_equal_frames_stay_as_long() -> None:
    """An image that is given three times is shown once, for three times as long."""
    shown, times = read(gif(np.repeat(frames(1, 1), 3, axis=0), 100), "L")
    assert (len(shown), sum(times)) == (1, 300)
