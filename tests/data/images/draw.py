"""Draws the images beside it: `python -m tests.data.images.draw`."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.image_files import (
    PALETTE,
    RGB,
    chunk,
    drawing,
    exif,
    header,
    png,
    saved,
)

FOLDER = Path(__file__).parent


def draw() -> dict[str, bytes]:
    """Every file's name and content."""
    colours = Image.fromarray(drawing())
    return {**_pngs(colours), **_jpegs(colours), **_webps(colours), **_unusable(colours)}


def _pngs(colours: Image.Image) -> dict[str, bytes]:
    grey = colours.convert("L")
    faded = colours.copy()
    faded.putalpha(Image.linear_gradient("L").resize(colours.size))
    wide = np.asarray(grey).astype(np.uint16) * 257
    wide_rgb = (drawing().astype(">u2") * 257).astype(">u2")
    frames = [colours, colours.rotate(180)]
    indices = [bytes(column * 4 // 40 for column in range(40))] * 30
    palette = chunk(b"PLTE", bytes([200, 0, 0, 0, 200, 0, 0, 0, 200, 90, 90, 90]))
    stripes = [bytes([0b11001010] * 5)] * 30
    return {
        "grey.png": saved(grey),
        "rgb.png": saved(colours),
        "rgba.png": saved(faded),
        "grey-alpha.png": saved(faded.convert("LA")),
        "palette.png": saved(colours.quantize(16)),
        "palette-transparent.png": png(
            indices, 40, colour=PALETTE, extra=palette + chunk(b"tRNS", bytes([0, 128]))
        ),
        "grey-16-bit.png": saved(Image.fromarray(wide)),
        "rgb-16-bit.png": png([row.tobytes() for row in wide_rgb], 40, depth=16, colour=RGB),
        "one-bit.png": saved(grey.convert("1")),
        "two-bit-transparent.png": png(
            [row * 2 for row in stripes], 40, depth=2, extra=chunk(b"tRNS", b"\x00\x03")
        ),
        "animated.png": saved(colours, save_all=True, append_images=frames[1:]),
        "digit.png": saved(_digit()),
    }


def _digit() -> Image.Image:
    """A white 7 of the size and stroke of a handwritten digit's scan."""
    across, down = np.meshgrid(np.arange(28), np.arange(28))
    bar = np.abs(down - 7) - 1.2 + 9 * ((across < 7) | (across > 20))
    slope = np.abs((across - 20) + (down - 7) * 0.55) - 1.4 + 9 * ((down < 7) | (down > 23))
    ink = 1 - np.clip(np.minimum(bar, slope), 0, 1)
    return Image.fromarray((ink * 255).astype(np.uint8))


def _jpegs(colours: Image.Image) -> dict[str, bytes]:
    turned = colours.transpose(Image.Transpose.ROTATE_90)
    return {
        "rgb.jpg": saved(colours, "JPEG"),
        "grey.jpg": saved(colours.convert("L"), "JPEG"),
        "progressive.jpg": saved(colours, "JPEG", progressive=True),
        "turned.jpg": saved(turned, "JPEG", exif=exif(6)),
        "cmyk.jpg": saved(colours.convert("CMYK"), "JPEG"),
    }


def _webps(colours: Image.Image) -> dict[str, bytes]:
    faded = colours.copy()
    faded.putalpha(Image.linear_gradient("L").resize(colours.size))
    frames = [colours.rotate(90 * turn) for turn in range(1, 4)]
    return {
        "lossy.webp": saved(colours, "WEBP"),
        "lossless.webp": saved(colours, "WEBP", lossless=True),
        "alpha.webp": saved(faded, "WEBP", lossless=True),
        "animated.webp": saved(colours, "WEBP", save_all=True, append_images=frames, lossless=True),
        "turned.webp": saved(
            colours.transpose(Image.Transpose.ROTATE_90), "WEBP", lossless=True, exif=exif(6)
        ),
    }


def _unusable(colours: Image.Image) -> dict[str, bytes]:
    whole, jpeg = saved(colours), saved(colours, "JPEG")
    enormous = header(30_000, 30_000) + chunk(
        b"IDAT", zlib.compress(bytes(100_000_000), 1)[:99_900]
    )
    return {
        "empty.png": b"",
        "noise.png": random.Random(0).randbytes(400),  # noqa: S311 - no secret
        "text.jpg": b"this is a text and no image\n" * 10,
        "truncated.png": whole[: len(whole) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.webp": saved(colours, "WEBP")[:200],
        "header-only.png": header(40, 30),
        "enormous.png": enormous,
        "picture.gif": saved(colours.quantize(8), "GIF"),
        "picture.bmp": saved(colours.resize((8, 6)), "BMP"),
    }


if __name__ == "__main__":
    for name, content in draw().items():
        (FOLDER / name).write_bytes(content)
