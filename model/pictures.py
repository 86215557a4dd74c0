"""Any picture file → the uint8 array a model takes; the same code in training and in serving."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from model import exif
from model.containers import Container, ContainerError, scan
from model.manifest import InputSpec, Preprocessing
from model.pixels import Images

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes without colour, with or without transparency."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_16_BIT = 65535


class PictureError(ValueError):
    """The bytes are no picture that can be used; the text says why."""


class TooManyPixelsError(PictureError):
    """The header announces more pixels than the caller allows."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded file, before it is fitted."""

    image: Image.Image
    """The first frame, as it lies in the file."""
    bit_depth: int = 8
    orientation: int = exif.UPRIGHT
    animated: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture fitted to a model, and what was done to it."""

    pixels: Images
    """uint8 [h, w, c]."""
    width: int
    height: int
    mode: str
    """Pillow's mode of the file as it was."""
    steps: tuple[str, ...] = field(default=())
    """In order; empty when the file already was what the model takes."""


def read(source: BinaryIO, *, max_pixels: int, formats: tuple[str, ...] | None = None) -> Picture:
    """Decodes the first frame of a picture, after its header has passed the checks.

    Args:
        source: the file, positioned at its start.
        max_pixels: width × height above this is refused before anything is decoded.
        formats: accepted ones of PNG, JPEG and WEBP; None accepts all that Pillow knows, which is
            for files one trusts: only those three are checked beyond their size.

    Raises:
        TooManyPixelsError: the header announces more than `max_pixels`.
        PictureError: not a picture, of another format, or broken.
    """
    data = source.read()
    try:
        container = scan(data)
    except ContainerError as error:
        raise PictureError(str(error)) from error
    if formats is not None and (container is None or container.format not in formats):
        msg = f"not a picture in a known format ({', '.join(formats)})"
        raise PictureError(msg)
    if container is None:
        return _decode_other(data, max_pixels)
    _check_size(container.width, container.height, max_pixels)
    image = _decode(container.data, (container.format,), max_pixels)
    _rescale_transparency(image, container)
    return Picture(image, container.bit_depth, container.orientation, container.animated)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        msg = f"{width}×{height} pixels are more than the {max_pixels} allowed"
        raise TooManyPixelsError(msg)


def _decode(data: bytes, formats: tuple[str, ...] | None, max_pixels: int) -> Image.Image:
    # Pillow's plugins let through whatever a broken file makes them stumble over, and its
    # warnings are errors where a program wants them so.
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error)) from error
    except UnidentifiedImageError as error:
        msg = "not a picture in a known format, or its header is broken"
        raise PictureError(msg) from error
    except Exception as error:
        msg = f"the picture's header is broken: {error}"
        raise PictureError(msg) from error
    _check_size(*image.size, max_pixels)
    try:
        image.load()
    except Exception as error:
        msg = f"the picture is broken or truncated: {error}"
        raise PictureError(msg) from error
    if image.mode == "P" and image.palette is None:
        msg = "the picture is broken: its colours are entries of a palette that is missing"
        raise PictureError(msg)
    return image


def _decode_other(data: bytes, max_pixels: int) -> Picture:
    image = _decode(data, None, max_pixels)
    try:
        orientation = int(image.getexif().get(_ORIENTATION, exif.UPRIGHT))
        animated = bool(getattr(image, "is_animated", False))
        image.load()
    except Exception as error:
        msg = f"the picture is broken: {error}"
        raise PictureError(msg) from error
    return Picture(image, 8, orientation, animated)


def _rescale_transparency(image: Image.Image, container: Container) -> None:
    """Brings a PNG's transparent colour to the range that Pillow brought the pixels to."""
    key = image.info.get("transparency")
    if container.format != "PNG" or isinstance(key, bytes):
        return
    if isinstance(key, int) and container.bit_depth in (2, 4):
        image.info["transparency"] = key * (255 // (2**container.bit_depth - 1))
    elif isinstance(key, tuple) and container.bit_depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def fit(picture: Picture, spec: InputSpec, preprocessing: Preprocessing) -> Fitted:
    """Upright, opaque, 8-bit, in the model's colours and size: uint8 [height, width, channels].

    A centre crop to the model's aspect ratio, then an antialiased Lanczos resize; a picture
    that already has the size keeps its pixels exactly.

    Raises:
        PictureError: the mode has no defined 8-bit range (floating-point pixels).
    """
    steps: list[str] = []
    image = picture.image
    if picture.animated:
        steps.append("first frame taken")
    upright = _upright(image, picture.orientation, steps)
    eight_bit = _eight_bit(upright, picture.bit_depth, steps)
    opaque = _opaque(eight_bit, preprocessing.background, steps)
    coloured = _coloured(opaque, "L" if spec.channels == 1 else "RGB", steps)
    sized = _sized(coloured, spec.width, spec.height, steps)
    pixels = np.asarray(sized, dtype=np.uint8).reshape(spec.height, spec.width, spec.channels)
    return Fitted(pixels, image.width, image.height, image.mode, tuple(steps))


def _upright(image: Image.Image, orientation: int, steps: list[str]) -> Image.Image:
    turn = _TURNS.get(orientation)
    if turn is None:
        return image
    steps.append(f"turned upright (EXIF orientation {orientation})")
    return image.transpose(turn)


def _eight_bit(image: Image.Image, bit_depth: int, steps: list[str]) -> Image.Image:
    if image.mode == "F":
        msg = "floating-point pixels have no defined range; send 8-bit or 16-bit pictures"
        raise PictureError(msg)
    if image.mode not in _SIXTEEN_BIT_MODES:
        if bit_depth == 16:  # Pillow keeps the upper byte of 16-bit colours.
            steps.append("16 bits scaled to 8")
        return image
    wide = np.asarray(image)
    if wide.size and not 0 <= wide.min() <= wide.max() <= _WHITE_16_BIT:
        msg = f"pixels outside 0 … {_WHITE_16_BIT} have no defined range; send 8 or 16 bits"
        raise PictureError(msg)
    steps.append("16 bits scaled to 8")
    grey = Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))
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
            msg = f"pictures of mode {image.mode} can't be brought to RGB: {error}"
            raise PictureError(msg) from error
        steps.append("converted to RGB")
    if mode == "L" and image.mode == "RGB":
        steps.append("converted to grey (ITU-R 601)")
    return image.convert(mode)


def _sized(image: Image.Image, width: int, height: int, steps: list[str]) -> Image.Image:
    crop_width = max(1, min(image.width, round(image.height * width / height)))
    crop_height = max(1, min(image.height, round(image.width * height / width)))
    if (crop_width, crop_height) != image.size:
        left, top = (image.width - crop_width) // 2, (image.height - crop_height) // 2
        image = image.crop((left, top, left + crop_width, top + crop_height))
        steps.append(f"cropped to {crop_width}×{crop_height} around the centre")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        steps.append(f"resized to {width}×{height}")
    return image
