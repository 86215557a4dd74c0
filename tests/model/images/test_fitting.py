"""Any image becomes the model's array, and the steps are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.reading import ImageError
from tests.image_files import PALETTE, chunk, drawing, exif, png, saved
from tests.model.fitting import fitted

FOLDER = Path(__file__).parents[2] / "data" / "images"
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


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_and_tagged_image_is_the_upright_one(kind: str, orientation: int) -> None:
    """An image stored turned, with the tag that says so, fits to the pixels of the upright one."""
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
    image = fitted(saved(Image.fromarray(drawing()), exif=exif(orientation)))

    np.testing.assert_array_equal(image.pixels, drawing())
    assert image.steps == ()


def test_the_centre_is_kept() -> None:
    """A wide image loses its sides, a tall one its top and bottom, in equal parts."""
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
    image = fitted(saved(Image.fromarray(board)), channels=1, size=(8, 8))

    assert np.abs(image.pixels.astype(int) - 128).max() <= 8
    assert image.steps == ("resized to 8×8",)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=60)
def test_any_size_fits_any_model(width: int, height: int, to_width: int, to_height: int) -> None:
    """Whatever the two sizes, the answer has the model's, and a flat image stays flat."""
    data = saved(Image.new("L", (width, height), 120))
    image = fitted(data, channels=1, size=(to_width, to_height))

    assert image.pixels.shape == (to_height, to_width, 1)
    assert (image.width, image.height) == (width, height)
    assert (image.pixels == 120).all()


@pytest.mark.parametrize("name", ["animated.png", "animated.webp"])
def test_the_first_frame_of_an_animation(name: str) -> None:
    """Only the first frame of an animation is taken, and the step says so."""
    image = fitted((FOLDER / name).read_bytes())

    np.testing.assert_array_equal(image.pixels, drawing())
    assert image.steps == ("first frame taken",)


def test_the_first_frame_of_a_gif() -> None:
    """Where every format is taken, so is an animated GIF's first frame."""
    frames = [Image.new("L", (4, 4), level) for level in (10, 200, 90)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = fitted(data, channels=1, formats=None)

    assert (image.pixels == 10).all()
    assert image.steps[0] == "first frame taken"


def test_an_oriented_tiff() -> None:
    """Where every format is taken, a TIFF's orientation counts."""
    stored = Image.fromarray(drawing()).transpose(Image.Transpose.ROTATE_90)
    image = fitted(saved(stored, "TIFF", exif=exif(6)), size=(40, 30), formats=None)

    np.testing.assert_array_equal(image.pixels, drawing())


@pytest.mark.parametrize("channels", [1, 3])
def test_more_transparency_than_a_palette_has_entries(channels: int) -> None:
    """A palette's transparency that is too long is a broken image, though its pixels decode."""
    extra = chunk(b"PLTE", b"abc") + chunk(b"tRNS", bytes(300))
    with pytest.raises(ImageError, match="the image is broken: "):
        fitted(png([bytes(28)] * 28, 28, colour=PALETTE, extra=extra), channels=channels)
