"""Image files are decoded, and those that are broken, too large or unknown are refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.reading import ImageError, TooManyPixelsError, read
from tests.image_files import saved
from tests.model.fitting import fitted

FOLDER = Path(__file__).parents[2] / "data" / "images"


@pytest.mark.parametrize(
    "name", ["picture.gif", "picture.bmp", "text.jpg", "noise.png", "empty.png"]
)
def test_other_formats_are_refused(name: str) -> None:
    """A file of a format that is not named is refused, and the named ones are listed."""
    with pytest.raises(ImageError, match="PNG, JPEG, WEBP"):
        fitted((FOLDER / name).read_bytes())


@pytest.mark.parametrize(
    "name", ["truncated.png", "truncated.jpg", "truncated.webp", "header-only.png", "noise.png"]
)
def test_broken_images_are_refused(name: str) -> None:
    """An image that is cut off or no image is refused, with all formats taken too."""
    with pytest.raises(ImageError):
        fitted((FOLDER / name).read_bytes(), formats=None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_too_many_pixels(kind: str) -> None:
    """An image above the limit is refused by its header; one at the limit is taken."""
    data = saved(Image.new("L", (30, 20)), kind)

    with pytest.raises(TooManyPixelsError, match="30×20"):
        read(io.BytesIO(data), max_pixels=599)
    assert read(io.BytesIO(data), max_pixels=600).image.size == (30, 20)


def test_an_enormous_image() -> None:
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
def test_damaged_images(seed: bytes, data: st.DataObject) -> None:
    """A file changed and cut anywhere is fitted or refused; nothing else comes out."""
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        image = fitted(damaged, size=(6, 5))
    except ImageError:
        return
    assert image.pixels.shape == (5, 6, 3)
