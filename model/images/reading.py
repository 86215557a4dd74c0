"""Image files → decoded images, after the structure of untrusted files has passed the checks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from model.images import exif, plain_png
from model.images.containers import Container, ContainerError, scan

_ORIENTATION = 0x0112


class ImageError(ValueError):
    """The bytes are no image that can be used; the text says why."""


class TooManyPixelsError(ImageError):
    """The header announces more pixels than the caller allows."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded file, before it is fitted."""

    image: Image.Image
    """The first frame, as it lies in the file."""
    bit_depth: int = 8
    orientation: int = exif.UPRIGHT
    animated: bool = False


def read(
    source: BinaryIO, *, max_pixels: int, formats: tuple[str, ...] | None = None
) -> DecodedImage:
    """Decodes the first frame of an image, after its header has passed the checks.

    Args:
        source: the file, positioned at its start.
        max_pixels: width × height above this is refused before anything is decoded.
        formats: accepted ones of PNG, JPEG and WEBP; None accepts all that Pillow knows, which is
            for files one trusts: only those three are checked beyond their size.

    Raises:
        TooManyPixelsError: the header announces more than `max_pixels`.
        ImageError: not an image, of another format, or broken.
    """
    data = source.read()
    try:
        container = scan(data)
    except ContainerError as error:
        raise ImageError(str(error)) from error
    if formats is not None and (container is None or container.format not in formats):
        raise ImageError(f"not an image in a known format ({', '.join(formats)})")
    if container is None:
        return _decode_other(data, max_pixels)
    _check_size(container.width, container.height, max_pixels)
    plain = plain_png.decode(container)
    if plain is not None:
        return DecodedImage(plain)
    image = _decode(container.data, (container.format,), max_pixels)
    _rescale_transparency(image, container)
    return DecodedImage(image, container.bit_depth, container.orientation, container.animated)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width}×{height} pixels are more than the {max_pixels} allowed")


def _decode(data: bytes, formats: tuple[str, ...] | None, max_pixels: int) -> Image.Image:
    # Pillow's plugins let through whatever a broken file makes them stumble over, and its
    # warnings are errors where a program wants them so.
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageError("not an image in a known format, or its header is broken") from error
    except Exception as error:
        raise ImageError(f"the image's header is broken: {error}") from error
    _check_size(*image.size, max_pixels)
    try:
        image.load()
    except Exception as error:
        raise ImageError(f"the image is broken or truncated: {error}") from error
    if image.mode == "P" and image.palette is None:
        raise ImageError("the image is broken: its palette is missing")
    return image


def _decode_other(data: bytes, max_pixels: int) -> DecodedImage:
    image = _decode(data, None, max_pixels)
    try:
        orientation = int(image.getexif().get(_ORIENTATION, exif.UPRIGHT))
        animated = bool(getattr(image, "is_animated", False))
        image.load()
    except Exception as error:
        raise ImageError(f"the image is broken: {error}") from error
    return DecodedImage(image, 8, orientation, animated)


def _rescale_transparency(image: Image.Image, container: Container) -> None:
    """Brings a PNG's transparent colour to the range that Pillow brought the pixels to."""
    key = image.info.get("transparency")
    if container.format != "PNG" or isinstance(key, bytes):
        return
    if isinstance(key, int) and container.bit_depth in (2, 4):
        image.info["transparency"] = key * (255 // (2**container.bit_depth - 1))
    elif isinstance(key, tuple) and container.bit_depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)
