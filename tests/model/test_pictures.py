"""model/pictures.py: any picture → the model's array, and what was done said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from model.bundle import InputSpec, Preprocessing
from model.pictures import Fitted, PictureError, TooManyPixelsError, fit, read
from tests.picture_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    chunk,
    drawing,
    exif,
    png,
    saved,
)

FOLDER = Path(__file__).parent.parent / "data" / "pictures"
SERVED = ("PNG", "JPEG", "WEBP")
INVERSE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
GREY_16_BIT_KEY = 4369


def fitted(
    data: bytes,
    *,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    background: int = 0,
    formats: tuple[str, ...] | None = SERVED,
) -> Fitted:
    """Fits to `size` (width, height), or to the size that the file has."""
    picture = read(io.BytesIO(data), max_pixels=10_000_000, formats=formats)
    width, height = size or picture.image.size
    spec = InputSpec(
        channels=1 if channels == 1 else 3,
        height=height,
        width=width,
        order="L" if channels == 1 else "RGB",
    )
    return fit(picture, spec, Preprocessing(background=background))


def grey_levels(data: bytes, **options: int) -> list[int]:
    """The first row of the picture, fitted to a grey model of its size."""
    picture = fitted(data, channels=1, **options)  # type: ignore[arg-type]
    return [int(level) for level in picture.pixels[0, :, 0]]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_and_tagged_picture_is_the_upright_one(kind: str, orientation: int) -> None:
    """A picture stored turned, with the tag that says so, fits to the pixels of the upright one."""
    upright = Image.fromarray(drawing())
    turn = INVERSE[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    options = {"lossless": True} if kind == "WEBP" else {}
    turned = fitted(saved(stored, kind, exif=exif(orientation), **options), size=(40, 30))

    np.testing.assert_array_equal(turned.pixels, drawing())
    assert bool(turned.steps) == (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tagged_jpeg_is_turned(orientation: int) -> None:
    """The tag of a JPEG turns its decoded pixels, exactly."""
    turn = INVERSE[orientation]
    upright = Image.fromarray(drawing())
    stored = upright if turn is None else upright.transpose(turn)
    plain = fitted(saved(stored, "JPEG")).pixels
    turned = fitted(saved(stored, "JPEG", exif=exif(orientation)), size=(40, 30)).pixels
    undone = {6: 8, 8: 6}.get(orientation, orientation)
    back = INVERSE[undone]
    expected = plain if back is None else np.asarray(Image.fromarray(plain).transpose(back))

    np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_unknown_orientations_do_nothing(orientation: int) -> None:
    """A tag without a meaning changes no pixel, and no step is claimed."""
    picture = fitted(saved(Image.fromarray(drawing()), exif=exif(orientation)))

    np.testing.assert_array_equal(picture.pixels, drawing())
    assert picture.steps == ()


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, max_side=12)))
@settings(max_examples=50)
def test_a_picture_of_the_models_size_keeps_its_pixels(values: NDArray[np.uint8]) -> None:
    """A grey or colour picture that is what the model takes goes in as it is, without a step."""
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
    picture = fitted(saved(Image.fromarray(values)), channels=1)

    np.testing.assert_array_equal(picture.pixels[:, :, 0], np.rint(values / 257))
    assert picture.steps == ("16 bits scaled to 8",)


@given(arrays.arrays(np.uint16, (3, 4, 3)))
@settings(max_examples=50)
def test_sixteen_bit_colours_come_within_a_level(values: NDArray[np.uint16]) -> None:
    """16-bit colours come within one of 256 levels, and the step is named."""
    rows = [row.astype(">u2").tobytes() for row in values]
    picture = fitted(png(rows, 4, depth=16, colour=RGB))

    assert np.abs(picture.pixels - values / 257).max() <= 1
    assert picture.steps == ("16 bits scaled to 8",)


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
    """A picture with an alpha channel that hides nothing keeps its pixels, and no step is told."""
    image = Image.fromarray(drawing())
    image.putalpha(255)
    picture = fitted(saved(image))

    np.testing.assert_array_equal(picture.pixels, drawing())
    assert picture.steps == ()
    assert picture.mode == "RGBA"


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
    """A colour model sees a grey picture as equal red, green and blue, with no step to tell."""
    picture = fitted(png([bytes([0, 77, 255])], 3))

    assert picture.pixels.tolist() == [[[0, 0, 0], [77, 77, 77], [255, 255, 255]]]
    assert picture.steps == ()


def test_cmyk_and_palettes_become_colours() -> None:
    """A CMYK JPEG's cyan is cyan, and a palette's entries are the colours that it lists."""
    cyan = fitted(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))
    listed = fitted(
        png([b"\x00\x01"], 2, colour=PALETTE, extra=chunk(b"PLTE", bytes([9, 8, 7, 6, 5, 4])))
    )

    assert np.abs(cyan.pixels.astype(int) - [0, 255, 255]).max() <= 2
    assert cyan.steps == listed.steps == ("converted to RGB",)
    assert listed.pixels.tolist() == [[[9, 8, 7], [6, 5, 4]]]


def test_the_centre_is_kept() -> None:
    """A wide picture loses its sides, a tall one its top and bottom, in equal parts."""
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 200
    across = fitted(saved(Image.fromarray(wide)), channels=1, size=(4, 4))
    down = fitted(saved(Image.fromarray(wide.T)), channels=1, size=(4, 4))

    assert (across.pixels == 200).all()
    assert (down.pixels == 200).all()
    assert across.steps == ("cropped to 4×4 around the centre",)


def test_resizing_averages() -> None:
    """Shrinking is antialiased: a fine checkerboard becomes grey, not black or white."""
    board = ((np.indices((64, 64)).sum(axis=0) % 2) * 255).astype(np.uint8)
    picture = fitted(saved(Image.fromarray(board)), channels=1, size=(8, 8))

    assert np.abs(picture.pixels.astype(int) - 128).max() <= 8
    assert picture.steps == ("resized to 8×8",)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=60)
def test_any_size_fits_any_model(width: int, height: int, to_width: int, to_height: int) -> None:
    """Whatever the two sizes, the answer has the model's, and a flat picture stays flat."""
    data = saved(Image.new("L", (width, height), 120))
    picture = fitted(data, channels=1, size=(to_width, to_height))

    assert picture.pixels.shape == (to_height, to_width, 1)
    assert (picture.width, picture.height) == (width, height)
    assert (picture.pixels == 120).all()


@pytest.mark.parametrize("name", ["animated.png", "animated.webp"])
def test_the_first_frame_of_an_animation(name: str) -> None:
    """Only the first frame of an animation is taken, and the step says so."""
    picture = fitted((FOLDER / name).read_bytes())

    np.testing.assert_array_equal(picture.pixels, drawing())
    assert picture.steps == ("first frame taken",)


def test_the_first_frame_of_a_gif() -> None:
    """Where every format is taken, so is an animated GIF's first frame."""
    frames = [Image.new("L", (4, 4), level) for level in (10, 200, 90)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = fitted(data, channels=1, formats=None)

    assert (picture.pixels == 10).all()
    assert picture.steps[0] == "first frame taken"


def test_an_oriented_tiff() -> None:
    """Where every format is taken, a TIFF's orientation counts."""
    stored = Image.fromarray(drawing()).transpose(Image.Transpose.ROTATE_90)
    picture = fitted(saved(stored, "TIFF", exif=exif(6)), size=(40, 30), formats=None)

    np.testing.assert_array_equal(picture.pixels, drawing())


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
    with pytest.raises(PictureError, match=why):
        fitted(saved(Image.fromarray(values), "TIFF"), channels=1, formats=None)


@pytest.mark.parametrize(
    "name", ["picture.gif", "picture.bmp", "text.jpg", "noise.png", "empty.png"]
)
def test_other_formats_are_refused(name: str) -> None:
    """A file of a format that is not named is refused, and the named ones are listed."""
    with pytest.raises(PictureError, match="PNG, JPEG, WEBP"):
        fitted((FOLDER / name).read_bytes())


@pytest.mark.parametrize(
    "name", ["truncated.png", "truncated.jpg", "truncated.webp", "header-only.png", "noise.png"]
)
def test_broken_pictures_are_refused(name: str) -> None:
    """A picture that is cut off or no picture is refused, with all formats taken too."""
    with pytest.raises(PictureError):
        fitted((FOLDER / name).read_bytes(), formats=None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_too_many_pixels(kind: str) -> None:
    """A picture above the limit is refused by its header; one at the limit is taken."""
    data = saved(Image.new("L", (30, 20)), kind)

    with pytest.raises(TooManyPixelsError, match="30×20"):
        read(io.BytesIO(data), max_pixels=599)
    assert read(io.BytesIO(data), max_pixels=600).image.size == (30, 20)


def test_an_enormous_picture() -> None:
    """30,000×30,000 pixels in 100 kB are refused before any is decoded."""
    with pytest.raises(TooManyPixelsError, match="30000×30000"):
        fitted((FOLDER / "enormous.png").read_bytes())


def test_a_bomb_by_pillows_own_count() -> None:
    """Where the limit allows more than Pillow does, Pillow's refusal is the same error."""
    data = (FOLDER / "enormous.png").read_bytes()

    with pytest.raises(TooManyPixelsError):
        read(io.BytesIO(data), max_pixels=10**9)


SEEDS = [
    path.read_bytes()
    for path in sorted(FOLDER.iterdir())
    if path.suffix in (".png", ".jpg", ".webp", ".gif") and path.name != "enormous.png"
]


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=300)
def test_damaged_pictures(seed: bytes, data: st.DataObject) -> None:
    """A file changed and cut anywhere is fitted or refused; nothing else comes out."""
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        picture = fitted(damaged, size=(6, 5))
    except PictureError:
        return
    assert picture.pixels.shape == (5, 6, 3)
