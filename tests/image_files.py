"""Image files that usual encoders don't write, built byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with a correct checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 8, colour: int = GREY) -> bytes:
    """A PNG's signature and its IHDR chunk."""
    return PNG_SIGNATURE + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    )


def png(
    rows: Sequence[bytes], width: int, *, depth: int = 8, colour: int = GREY, extra: bytes = b""
) -> bytes:
    """A PNG of unfiltered scan lines; `extra` is chunks between IHDR and IDAT."""
    data = zlib.compress(b"".join(b"\x00" + row for row in rows))
    body = extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return header(width, len(rows), depth, colour) + body


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file written by Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """An EXIF block that contains only an orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def drawing(width: int = 40, height: int = 30) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], different in every corner and along both axes."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, :, 0] = across[None, :]
    image[:, :, 1] = down[:, None]
    image[height // 4 : height // 2, width // 8 : width // 2] = (250, 240, 20)
    image[: height // 6, width - width // 6 :, 2] = 255
    return image
