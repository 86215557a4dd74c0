"""Decodes image files; writes PNG, JPEG, animations and sheets. Synchronous; safe in any thread."""

from __future__ import annotations

import base64
import io
import math
import struct
import zlib

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from app.errors import ImageTooLargeError, InvalidImageError
from model.bundle.manifest import InputSpec, Preprocessing
from model.images import containers
from model.images.fitting import Fitted, fit
from model.images.reading import ImageError, TooManyPixelsError, read
from model.pixels import Images

READABLE = ("PNG", "JPEG", "WEBP")

UNKNOWN_PIXELS = 10_000_000

ANIMATION_WEIGHT = 16
"""How many times as long a pixel takes in an animation as in a PNG, about."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN_PNG_BYTES = 65_536
_GRID_PADDING = 2
_JPEG_QUALITY = 95
_COLOUR_TYPES = {1: 0, 3: 2}
_FILTER_UP = 2
_SMALLEST_FILTERED = 4096


def decode(
    data: bytes,
    *,
    index: int,
    spec: InputSpec,
    preprocessing: Preprocessing,
    max_pixels: int,
) -> Fitted:
    """Decodes a PNG, JPEG or WebP file and fits it to the model.

    Args:
        data: the file.
        index: the image's position in its request, for errors.
        spec: the model's input.
        preprocessing: how images are fitted to the input.
        max_pixels: the limit of width × height in the file's header.

    Raises:
        ImageTooLargeError: the header exceeds `max_pixels`; nothing was decoded.
        InvalidImageError: the file is broken or has another format.
    """
    try:
        # The decoded image has no name here, so that `fit` can free it.
        return fit(
            read(io.BytesIO(data), max_pixels=max_pixels, formats=READABLE), spec, preprocessing
        )
    except TooManyPixelsError as error:
        msg = f"image {index}: {error}"
        raise ImageTooLargeError(msg, field="images", index=index, limit=max_pixels) from error
    except ImageError as error:
        raise InvalidImageError(f"image {index}: {error}", field="images", index=index) from error


def announced_pixels(data: bytes) -> int:
    """Width × height from the header of a PNG, JPEG or WebP file.

    `UNKNOWN_PIXELS` if the start of the file does not show it.
    """
    if data.startswith(_PNG_SIGNATURE):
        width, height = (int.from_bytes(data[start : start + 4]) for start in (16, 20))
        return width * height
    return containers.announced_pixels(data) or UNKNOWN_PIXELS


def decoding_size(data: bytes) -> int:
    """The approximate cost of decoding in pixels, which decides whether a thread decodes it.

    The number of pixels for small PNG files; `UNKNOWN_PIXELS` for all others.
    """
    if not data.startswith(_PNG_SIGNATURE) or len(data) > _PLAIN_PNG_BYTES:
        return UNKNOWN_PIXELS
    return announced_pixels(data)


def png(image: Images) -> bytes:
    """uint8 [h, w, c], c being 1 or 3, as a PNG file.

    Pillow takes several times as long for the small images of most models. ISA-L compresses small
    images in half the time of zlib's fastest level and large ones in a sixth, to about the same
    size.
    """
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    data = isal_zlib.compress(_scanlines(image.reshape(height, width * channels)), 1)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(chunks)


def jpeg(image: Images) -> bytes:
    """uint8 [h, w, c], c being 1 or 3, as a JPEG file of quality 95."""
    file = io.BytesIO()
    _pillow(image).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _scanlines(rows: NDArray[np.uint8]) -> bytes:
    """Each row after the number of its filter: 0 (none) or 2 (difference from the row above).

    All rows use the filter with the smaller mean of absolute differences (PNG specification,
    third edition, §12.7). Small images gain nothing from a filter.
    """
    lines = np.zeros((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)
    lines[:, 1:] = rows
    if rows.size >= _SMALLEST_FILTERED:
        differences = rows[1:] - rows[:-1]
        if _magnitude(differences) < _magnitude(rows[1:]):
            lines[:, 0] = _FILTER_UP
            lines[1:, 1:] = differences
    return lines.tobytes()


def _magnitude(values: NDArray[np.uint8]) -> int:
    return int(np.abs(values.view(np.int8).astype(np.int16)).sum())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif(frames: Images, milliseconds: int) -> bytes:
    """uint8 [n, h, w, c], c being 1 or 3, as an animated GIF that loops.

    Grey levels are exact; each colour frame has its own palette of 256. Durations are rounded
    down to hundredths of a second. Equal consecutive frames become one longer frame.
    """
    return _animation(frames, "GIF", milliseconds // 10 * 10)


def webp(frames: Images, milliseconds: int) -> bytes:
    """uint8 [n, h, w, c], c being 1 or 3, as a lossless animated WebP that loops.

    Equal consecutive frames become one longer frame.
    """
    return _animation(frames, "WEBP", milliseconds, lossless=True, method=0, quality=0)


def _animation(frames: Images, kind: str, milliseconds: int, **options: int) -> bytes:
    first, *rest = map(_pillow, frames)
    file = io.BytesIO()
    first.save(
        file, kind, save_all=True, append_images=rest, duration=milliseconds, loop=0, **options
    )
    return file.getvalue()


def _pillow(image: Images) -> Image.Image:
    """uint8 [h, w, c] as Pillow's image, which has no channel axis if it is grey."""
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def base64_png(image: Images) -> str:
    """uint8 [h, w, c] as a PNG file in base64, for JSON."""
    return base64.b64encode(png(image)).decode("ascii")


def grid(images: Images) -> Images:
    """Places images on one sheet, row by row.

    Args:
        images: uint8 [n, h, w, c], n being at least 1.

    Returns:
        uint8 [H, W, c] with ⌈√n⌉ columns, black gaps of two pixels between the images, and
        black at the end of a short last row. A single image is returned unchanged.
    """
    return _sheet(images, math.ceil(math.sqrt(len(images))))


def strip(images: Images) -> Images:
    """Images uint8 [n, h, w, c] in one row, uint8 [h, W, c], with gaps as in a `grid`."""
    return _sheet(images, len(images))


def _sheet(images: Images, columns: int) -> Images:
    n, height, width, channels = images.shape
    if n == 1:
        only: Images = images[0]
        return only
    rows = -(-n // columns)
    cells = np.zeros(
        (rows * columns, height + _GRID_PADDING, width + _GRID_PADDING, channels), dtype=np.uint8
    )
    cells[:n, :height, :width] = images
    sheet = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    flat: Images = sheet.reshape(rows * cells.shape[1], columns * cells.shape[2], channels)
    trimmed: Images = flat[:-_GRID_PADDING, :-_GRID_PADDING]
    return trimmed
