"""For models of many sizes an image keeps its own size, cropped to the multiple."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from model.bundle.layout import InputSpec, SizesSpec
from model.bundle.manifest import Preprocessing
from model.images.fitting import Fitted, fit
from model.images.reading import ImageError, read
from tests.image_files import exif, saved

SPEC = InputSpec(
    channels=3, height=16, width=16, order="RGB", sizes=SizesSpec(min=8, max=32, multiple=8)
)


def fitted(data: bytes) -> Fitted:
    return fit(read(io.BytesIO(data), max_pixels=10_000), SPEC, Preprocessing())


def image(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_size_that_fits_is_kept() -> None:
    """No pixel changes, and no step is claimed."""
    pixels = image(24, 8)
    found = fitted(saved(Image.fromarray(pixels)))

    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.steps == ()


@pytest.mark.parametrize(("height", "width"), [(9, 8), (15, 31), (39, 25)])
def test_an_odd_size_is_cropped_and_never_resized(height: int, width: int) -> None:
    """What is beyond the multiple goes, half of it on each side, one more at right and bottom."""
    pixels = image(height, width)
    found = fitted(saved(Image.fromarray(pixels)))

    top, left = height % 8 // 2, width % 8 // 2
    bottom, right = top + height - height % 8, left + width - width % 8
    np.testing.assert_array_equal(found.pixels, pixels[top:bottom, left:right])
    assert found.steps == (f"cropped to {right - left}×{bottom - top} around the centre",)


def test_the_upright_image_is_cropped() -> None:
    """An image that lies on its side in the file loses what it would lose upright."""
    pixels = image(13, 26)
    lying = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    found = fitted(saved(lying, exif=exif(6)))

    np.testing.assert_array_equal(found.pixels, pixels[2:10, 1:25])


@pytest.mark.parametrize(("height", "width"), [(7, 16), (16, 40), (41, 16)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    """Nothing is enlarged or shrunk in silence: the error says which sizes there are."""
    with pytest.raises(ImageError, match=rf"{width}×{height} .*must be 8 … 39.*multiples of 8"):
        fitted(saved(Image.fromarray(image(height, width))))
