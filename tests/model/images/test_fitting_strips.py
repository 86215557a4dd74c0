"""Fitting in strips: the same pixels as when the whole image is brought along step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from model.bundle.manifest import InputSpec, Preprocessing
from model.images import fitting
from model.images.fitting import GREY_MODES, fit
from model.images.reading import DecodedImage

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def drawn(mode: str, width: int, height: int, seed: int) -> Image.Image:
    """Random pixels of a mode."""
    generator = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(generator.integers(0, 65536, (height, width), dtype=np.uint16))
    image = Image.new(mode, (width, height))
    image.frombytes(generator.bytes(len(image.tobytes())))
    if mode == "P":
        image.putpalette(generator.bytes(768))
        image.info["transparency"] = generator.bytes(256)
    return image


def whole(image: Image.Image, orientation: int, spec: InputSpec, background: int) -> Image.Image:
    """The image fitted by one operation after the other on all its pixels."""
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    mode = "L" if spec.channels == 1 else "RGB"
    if image.mode == "I;16":
        image = Image.fromarray(np.rint(np.asarray(image) / 257.0).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        base = Image.new("RGBA", layer.size, (background,) * 3 + (255,))
        grey = image.mode in GREY_MODES
        image = Image.alpha_composite(base, layer).convert("RGB").convert("L" if grey else "RGB")
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    image = image.convert(mode)
    width = max(1, min(image.width, round(image.height * spec.width / spec.height)))
    height = max(1, min(image.height, round(image.width * spec.height / spec.width)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    if image.size == (spec.width, spec.height):
        return image
    return image.resize((spec.width, spec.height), Image.Resampling.LANCZOS)


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image).reshape(image.height, image.width, -1)


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]),
    size=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    target=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    orientation=st.integers(1, 8),
    background=st.sampled_from([0, 100, 255]),
    strip=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_strips_give_the_pixels_of_the_whole(
    mode: str,
    size: tuple[int, int],
    target: tuple[int, int, int],
    orientation: int,
    background: int,
    strip: int,
    seed: int,
) -> None:
    """Whatever the mode, the turn and the strips: pixel for pixel what the whole gives."""
    image = drawn(mode, *size, seed)
    width, height, channels = target
    spec = InputSpec(
        channels=channels, height=height, width=width, order="L" if channels == 1 else "RGB"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_STRIP_PIXELS", strip)
        fitted = fit(
            DecodedImage(image, orientation=orientation), spec, Preprocessing(background=background)
        )
    expected = pixels(whole(image, orientation, spec, background))
    np.testing.assert_array_equal(fitted.pixels, expected)


def test_sixteen_bits_are_rounded_to_the_nearest_level() -> None:
    """Every 16-bit value becomes the 8-bit level that is nearest: v / 257, rounded."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    spec = InputSpec(channels=1, height=256, width=256, order="L")
    fitted = fit(DecodedImage(Image.fromarray(values), bit_depth=16), spec, Preprocessing())
    np.testing.assert_array_equal(fitted.pixels[..., 0], np.rint(values / 257.0))


def test_a_step_of_one_strip_is_told_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transparency in the last strip alone is told once, before the conversion it came before."""
    monkeypatch.setattr(fitting, "_STRIP_PIXELS", 4)
    image = Image.new("RGBA", (4, 4), (9, 9, 9, 255))
    image.putpixel((3, 3), (9, 9, 9, 0))
    spec = InputSpec(channels=1, height=4, width=4, order="L")
    fitted = fit(DecodedImage(image), spec, Preprocessing(background=7))
    assert fitted.steps == (
        "transparency laid on grey level 7",
        "converted to grey (ITU-R 601)",
    )
