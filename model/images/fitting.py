"""Decoded images → the uint8 arrays that a model takes; the same in training and in serving."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.bundle.manifest import InputSpec, Preprocessing
from model.images import exif
from model.images.reading import DecodedImage, ImageError
from model.pixels import Images

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes without colour, with or without transparency."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels of the file."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of an upright image: its columns are the file's rows; its right, its bottom come first there.
_SIDEWAYS = frozenset({5, 6, 7, 8})
_RIGHT_FIRST = frozenset({2, 3, 6, 7})
_BOTTOM_FIRST = frozenset({3, 4, 7, 8})
_STRIP_PIXELS = 262_144
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_16_BIT = 65535


@dataclass(frozen=True, slots=True)
class Fitted:
    """An image fitted to a model, and what was done to it."""

    pixels: Images
    """uint8 [h, w, c]."""
    width: int
    height: int
    mode: str
    """Pillow's mode of the file as it was."""
    steps: tuple[str, ...] = ()
    """In order; empty if the file already fits the model."""


def fit(decoded: DecodedImage, spec: InputSpec, preprocessing: Preprocessing) -> Fitted:
    """Upright, opaque, 8-bit, in the model's colours and size: uint8 [height, width, channels].

    A centre crop to the model's aspect ratio, then an antialiased Lanczos resize; an image
    that already has the size keeps its pixels exactly. For a model that takes many sizes, the
    image keeps its own: it is cropped around its centre to the model's multiple.

    Raises:
        ImageError: the mode has no defined 8-bit range (floating-point pixels), its palette or
            transparency is broken, or its size is not one that the model takes.
    """
    image = decoded.image
    width, height, file_mode = image.width, image.height, image.mode
    mode = "L" if spec.channels == 1 else "RGB"
    if _is_fitted(decoded, spec, mode):
        return Fitted(_pixels(image, spec.channels), width, height, file_mode)
    steps = ["first frame taken"] if decoded.animated else []
    turn = _TURNS.get(decoded.orientation)
    if turn is not None:
        steps.append(f"turned upright (EXIF orientation {decoded.orientation})")
    sideways = decoded.orientation in _SIDEWAYS
    across, down = (height, width) if sideways else (width, height)
    target = _target(across, down, spec)
    crop = target if spec.sizes else _same_aspect(across, down, *target)
    box = _centre(across, down, *crop, decoded.orientation)
    with _as_image_errors():
        flat = _flat(decoded, box, preprocessing.background, mode, steps)
        del decoded, image  # the largest array there is, unless the caller keeps it
        if turn is not None:
            flat = flat.transpose(turn)
        if box != (0, 0, width, height):
            steps.append(f"cropped to {flat.width}×{flat.height} around the centre")
        if flat.size != target:
            flat = flat.resize(target, Image.Resampling.LANCZOS)
            steps.append(f"resized to {target[0]}×{target[1]}")
    return Fitted(_pixels(flat, spec.channels), width, height, file_mode, tuple(steps))


def _is_fitted(decoded: DecodedImage, spec: InputSpec, mode: str) -> bool:
    image = decoded.image
    return (
        not spec.sizes
        and image.size == (spec.width, spec.height)
        and image.mode == mode
        and decoded.bit_depth == 8
        and decoded.orientation == exif.UPRIGHT
        and not decoded.animated
        and not image.has_transparency_data
    )


def _pixels(image: Image.Image, channels: int) -> Images:
    # For a small image faster than np.asarray.
    flat = np.frombuffer(image.tobytes(), dtype=np.uint8)
    return flat.reshape(image.height, image.width, channels)


@contextlib.contextmanager
def _as_image_errors() -> Iterator[None]:
    """An error that Pillow raises only now, such as a palette's broken transparency."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"the image is broken: {error}") from error


def _target(across: int, down: int, spec: InputSpec) -> tuple[int, int]:
    """Width and height of the model's array for an upright image of that size."""
    sizes = spec.sizes
    if sizes is None:
        return spec.width, spec.height
    width, height = (length - length % sizes.multiple for length in (across, down))
    if not (sizes.take(width) and sizes.take(height)):
        raise ImageError(
            f"the model does not accept {across}×{down} pixels: width and height must "
            f"be {sizes.min} … {sizes.max + sizes.multiple - 1}, and are cropped to multiples of "
            f"{sizes.multiple}; resize the image"
        )
    return width, height


def _same_aspect(across: int, down: int, width: int, height: int) -> tuple[int, int]:
    """The largest part of an upright image that has the aspect ratio of width and height."""
    return (
        max(1, min(across, round(down * width / height))),
        max(1, min(down, round(across * height / width))),
    )


def _centre(across: int, down: int, crop_across: int, crop_down: int, orientation: int) -> Box:
    """Where the centre crop of the upright image lies in the file."""
    left, top = (across - crop_across) // 2, (down - crop_down) // 2
    # Of an odd rest the right and the bottom lose one more, which may lie first in the file.
    if orientation in _RIGHT_FIRST:
        left = across - crop_across - left
    if orientation in _BOTTOM_FIRST:
        top = down - crop_down - top
    if orientation in _SIDEWAYS:
        return (top, left, top + crop_down, left + crop_across)
    return (left, top, left + crop_across, top + crop_down)


def _flat(
    decoded: DecodedImage, box: Box, background: int, mode: str, steps: list[str]
) -> Image.Image:
    """The box of an image, opaque, with 8 bits, in `mode`; still turned as it is in the file.

    Strip by strip: what a pixel becomes depends on itself alone, and the arrays in between take
    up to 20 bytes a pixel.
    """
    image, depth = decoded.image, decoded.bit_depth
    left, top, right, bottom = box
    if image.mode == mode and not image.has_transparency_data:
        image = _eight_bit(image, depth, steps)
        return image if box == (0, 0, *image.size) else image.crop(box)
    rows = max(1, _STRIP_PIXELS // (right - left))
    flat = Image.new(mode, (right - left, bottom - top))
    most: list[str] = []
    for start in range(top, bottom, rows):
        done: list[str] = []
        strip = image.crop((left, start, right, min(start + rows, bottom)))
        opaque = _opaque(_eight_bit(strip, depth, done), background, done)
        flat.paste(_coloured(opaque, mode, done), (0, start - top))
        # Strips without transparency lack its step, and differ in nothing else.
        most = max(most, done, key=len)
    steps.extend(most)
    return flat


def _eight_bit(image: Image.Image, bit_depth: int, steps: list[str]) -> Image.Image:
    if image.mode == "F":
        raise ImageError("floating-point pixels have no defined range; send 8-bit or 16-bit images")
    if image.mode not in _SIXTEEN_BIT_MODES:
        if bit_depth == 16:  # Pillow keeps the upper byte of 16-bit colours.
            steps.append("16 bits scaled to 8")
        return image
    wide = np.asarray(image)
    if wide.size and not 0 <= wide.min() <= wide.max() <= _WHITE_16_BIT:
        msg = f"pixels outside 0 … {_WHITE_16_BIT} have no defined range; send 8 or 16 bits"
        raise ImageError(msg)
    steps.append("16 bits scaled to 8")
    # 257 is odd, so that no value lies half-way between two levels.
    grey = Image.fromarray(((wide.astype(np.uint32) + 128) // 257).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(wide == key, 0, 255).astype(np.uint8)))
    return grey


def _opaque(image: Image.Image, background: int, steps: list[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() != (255, 255):
        steps.append(f"transparency laid on grey level {background}")
        base = Image.new("RGBA", layer.size, (background,) * 3 + (255,))
        layer = Image.alpha_composite(base, layer)
    # Grey on grey stays grey: equal red, green and blue are that grey level exactly.
    return layer.convert("RGB").convert("L" if image.mode in GREY_MODES else "RGB")


def _coloured(image: Image.Image, mode: str, steps: list[str]) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode not in {"1", "L", "RGB"}:
        try:
            image = image.convert("RGB")
        except ValueError as error:
            msg = f"images of mode {image.mode} can't be converted to RGB: {error}"
            raise ImageError(msg) from error
        steps.append("converted to RGB")
    if mode == "L" and image.mode == "RGB":
        steps.append("converted to grey (ITU-R 601)")
    return image.convert(mode)
