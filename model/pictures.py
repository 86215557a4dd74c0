"""Any picture file → the uint8 array a model takes; the same code in training and in serving."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from model.bundle import InputSpec, Preprocessing
from model.pixels import Images

_ORIENTATION = 0x0112
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


class PictureError(ValueError):
    """The bytes are no picture that can be used; the text says why."""


class TooManyPixelsError(PictureError):
    """The header announces more pixels than the caller allows."""


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


def read(
    source: BinaryIO, *, max_pixels: int, formats: tuple[str, ...] | None = None
) -> Image.Image:
    """Decodes the first frame of a picture, after its header has passed the checks.

    Args:
        source: the file, positioned at its start.
        max_pixels: width × height above this is refused before anything is decoded.
        formats: Pillow's names of the accepted formats; None accepts all that it knows.

    Raises:
        TooManyPixelsError: the header announces more than `max_pixels`.
        PictureError: not a picture, of another format, or broken.
    """
    try:
        image = Image.open(source, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error)) from error
    except UnidentifiedImageError as error:
        accepted = ", ".join(formats) if formats else "any format that Pillow reads"
        msg = f"not a picture in a known format ({accepted})"
        raise PictureError(msg) from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        msg = f"the picture's header is broken: {error}"
        raise PictureError(msg) from error
    if image.width * image.height > max_pixels:
        msg = f"{image.width}×{image.height} pixels are more than the {max_pixels} allowed"
        raise TooManyPixelsError(msg)
    try:
        image.load()
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        msg = f"the picture is broken or truncated: {error}"
        raise PictureError(msg) from error
    return image


def fit(image: Image.Image, spec: InputSpec, preprocessing: Preprocessing) -> Fitted:
    """Upright, opaque, 8-bit, in the model's colours and size: uint8 [height, width, channels].

    A centre crop to the model's aspect ratio, then an antialiased Lanczos resize; a picture
    that already has the size keeps its pixels exactly.

    Raises:
        PictureError: the mode has no defined 8-bit range (floating-point pixels).
    """
    steps: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        steps.append("first frame taken")
    upright = _upright(image, steps)
    opaque = _opaque(_eight_bit(upright, steps), preprocessing.background, steps)
    coloured = _coloured(opaque, "L" if spec.channels == 1 else "RGB", steps)
    sized = _sized(coloured, spec.width, spec.height, steps)
    pixels = np.asarray(sized, dtype=np.uint8).reshape(spec.height, spec.width, spec.channels)
    return Fitted(pixels, image.width, image.height, image.mode, tuple(steps))


def _upright(image: Image.Image, steps: list[str]) -> Image.Image:
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in (None, 1):
        return image
    steps.append(f"turned upright (EXIF orientation {orientation})")
    return ImageOps.exif_transpose(image)


def _eight_bit(image: Image.Image, steps: list[str]) -> Image.Image:
    if image.mode == "F":
        msg = "floating-point pixels have no defined range; send 8-bit or 16-bit pictures"
        raise PictureError(msg)
    if image.mode not in _SIXTEEN_BIT_MODES:
        return image
    steps.append("16 bits scaled to 8")
    wide = np.clip(np.asarray(image, dtype=np.float64), 0, 65535)
    return Image.fromarray(np.rint(wide / 257).astype(np.uint8))


def _opaque(image: Image.Image, background: int, steps: list[str]) -> Image.Image:
    if not (image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info):
        return image
    steps.append(f"transparency laid on grey level {background}")
    layer = image.convert("RGBA")
    return Image.alpha_composite(
        Image.new("RGBA", layer.size, (background,) * 3 + (255,)), layer
    ).convert("RGB")


def _coloured(image: Image.Image, mode: str, steps: list[str]) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode not in {"1", "L", "RGB"}:
        image = image.convert("RGB")
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
