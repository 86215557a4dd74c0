"""The same images, and the same errors, as Pillow's own way to them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.bundle.manifest import InputSpec, Preprocessing
from model.images import plain_png
from model.images.containers import scan
from model.images.fitting import fit
from model.images.reading import ImageError, read
from tests.image_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    PNG_SIGNATURE,
    RGB,
    RGBA,
    chunk,
    drawing,
    exif,
    header,
    png,
    saved,
)

FOLDER = Path(__file__).parents[2] / "data" / "images"
SAMPLES = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}
END = chunk(b"IEND", b"")
SIZES = st.integers(1, 12)


def plain(data: bytes) -> Image.Image | None:
    container = scan(data)
    assert container is not None
    return plain_png.decode(container)


def outcome(data: bytes, channels: int, size: tuple[int, int]) -> object:
    """All that a caller sees of a file: pixels and what was said of them, or the error."""
    order = "L" if channels == 1 else "RGB"
    spec = InputSpec(channels=channels, height=size[1], width=size[0], order=order)
    try:
        image = read(io.BytesIO(data), max_pixels=100_000, formats=("PNG",))
        fitted = fit(image, spec, Preprocessing(background=0))
    except ImageError as error:
        return type(error), str(error)
    shape = fitted.pixels.shape
    return fitted.pixels.tobytes(), shape, fitted.width, fitted.height, fitted.mode, fitted.steps


def outcome_by_pillow(data: bytes, channels: int, size: tuple[int, int]) -> object:
    with mock.patch.object(plain_png, "decode", return_value=None):
        return outcome(data, channels, size)


@st.composite
def filtered(draw: st.DrawFn) -> bytes:
    """Rows of any filter and any bytes: an image, whatever they are."""
    width, height, colour = draw(SIZES), draw(SIZES), draw(st.sampled_from(sorted(SAMPLES)))
    row = width * SAMPLES[colour]
    rows = [
        bytes([draw(st.integers(0, 4))]) + draw(st.binary(min_size=row, max_size=row))
        for _ in range(height)
    ]
    data = zlib.compress(b"".join(rows), draw(st.integers(0, 9)))
    return header(width, height, 8, colour) + chunk(b"IDAT", data) + END


@given(filtered())
def test_every_filter(data: bytes) -> None:
    """Rows of all filters, in all colours and compressed at all levels, are what Pillow reads."""
    decoded = plain(data)
    expected = Image.open(io.BytesIO(data))

    assert decoded is not None
    assert decoded.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(expected))


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_files_that_pillow_writes(mode: str, level: int) -> None:
    """A small image that Pillow saved is taken, and is what was saved."""
    image = Image.fromarray(drawing()).convert(mode)
    decoded = plain(saved(image, compress_level=level))

    assert decoded is not None
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(image))


@given(st.data(), filtered(), st.sampled_from([1, 3]), st.tuples(SIZES, SIZES) | st.none())
def test_damaged_files(
    data: st.DataObject, file: bytes, channels: int, size: tuple[int, int] | None
) -> None:
    """A file changed and cut anywhere fits, or fails, as it does by Pillow's way."""
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(8, len(file) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # so that the header is believed
        damaged[29:33] = zlib.crc32(damaged[12:29]).to_bytes(4)
    cut = bytes(damaged[: data.draw(st.integers(0, len(file)) | st.just(len(file)))])
    size = size or (file[19], file[23])

    assert outcome(cut, channels, size) == outcome_by_pillow(cut, channels, size)


@given(st.binary(max_size=40), SIZES, SIZES, st.sampled_from([b"", b"more"]))
def test_data_of_another_length(data: bytes, width: int, height: int, behind: bytes) -> None:
    """Too little, too much and what follows the data's end are judged as Pillow judges them."""
    content = zlib.compress(data) + behind
    file = header(width, height) + chunk(b"IDAT", content) + END

    assert outcome(file, 1, (width, height)) == outcome_by_pillow(file, 1, (width, height))


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.png")))
@pytest.mark.parametrize("channels", [1, 3])
def test_real_files(name: str, channels: int) -> None:
    """Each file fits, or fails, as it does by Pillow's way; to its own size and to another."""
    data = (FOLDER / name).read_bytes()
    own = (max(1, data[19]), max(1, data[23])) if len(data) > 23 else (1, 1)
    for size in (own, (28, 28)):
        assert outcome(data, channels, size) == outcome_by_pillow(data, channels, size)


ROW = bytes(range(4))
ONE = chunk(b"IDAT", zlib.compress(b"\x00" + ROW))


@pytest.mark.parametrize(
    "data",
    [
        png([ROW * 2], 4, depth=16),
        png([ROW], 32, depth=1),
        png([ROW], 4, colour=PALETTE, extra=chunk(b"PLTE", bytes(12))),
        png([ROW], 4, extra=chunk(b"tRNS", b"\x00\x01")),
        png([ROW], 4, extra=chunk(b"eXIf", exif(6))),
        png([ROW], 4, extra=chunk(b"acTL", b"\x00\x00\x00\x02\x00\x00\x00\x00")),
        header(4, 1) + chunk(b"IDAT", b"") + ONE + END,
        header(4, 1) + ONE,
        header(4, 1) + ONE + END[:-1],
        header(4, 0) + ONE + END,
        header(4, 1)[:-1] + b"!" + ONE + END,
        PNG_SIGNATURE + chunk(b"IHDR", b"\0\0\0\4\0\0\0\1\x08\0\0\0\1") + ONE + END,
        header(512, 512) + chunk(b"IDAT", zlib.compress(bytes(513 * 512))) + END,
        header(4, 1) + chunk(b"IDAT", zlib.compress(b"\x05" + ROW)) + END,
        header(4, 1) + chunk(b"IDAT", zlib.compress(b"\x00" + ROW)[:6]) + END,
    ],
)
def test_leaves_the_rest(data: bytes) -> None:
    """What is not plain, not small or not whole is left to Pillow."""
    assert plain(data) is None


def test_what_no_decoder_needs_is_no_hindrance() -> None:
    """Chunks that are dropped beforehand, such as a text and a resolution, change nothing."""
    extra = chunk(b"pHYs", bytes(9)) + chunk(b"tEXt", b"Title\x00A digit")
    decoded = plain(png([ROW], 4, extra=extra))

    assert decoded is not None
    assert np.asarray(decoded).tolist() == [[0, 1, 2, 3]]
