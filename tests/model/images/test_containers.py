"""Structure is measured and thinned, and pixels stay what they were."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.containers import ContainerError, scan
from tests.image_files import chunk, drawing, exif, header, png, saved

FOLDER = Path(__file__).parents[2] / "data" / "images"
READABLE = (
    "alpha.webp",
    "animated.webp",
    "cmyk.jpg",
    "digit.png",
    "grey-16-bit.png",
    "grey.jpg",
    "lossless.webp",
    "lossy.webp",
    "one-bit.png",
    "palette-transparent.png",
    "progressive.jpg",
    "rgb-16-bit.png",
    "rgb.jpg",
    "rgba.png",
    "turned.jpg",
    "turned.webp",
    "two-bit-transparent.png",
)
IMAGE = Image.fromarray(drawing())
JPEG = saved(IMAGE, "JPEG")
PROGRESSIVE = saved(IMAGE, "JPEG", progressive=True)


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.mode.encode() + image.tobytes()


def with_segment(jpeg: bytes, code: int, content: bytes) -> bytes:
    segment = bytes([0xFF, code]) + (len(content) + 2).to_bytes(2) + content
    return jpeg[:2] + segment + jpeg[2:]


def refusal(data: bytes) -> str:
    with pytest.raises(ContainerError) as caught:
        scan(data)
    return str(caught.value)


@pytest.mark.parametrize("name", READABLE)
def test_tells_what_the_decoder_would(name: str) -> None:
    """Format and size are read from the structure as Pillow reads them."""
    data = (FOLDER / name).read_bytes()
    container = scan(data)

    assert container is not None
    with Image.open(io.BytesIO(data)) as image:
        assert (container.format, container.width, container.height) == (image.format, *image.size)


@pytest.mark.parametrize("name", READABLE)
def test_thinning_keeps_the_pixels(name: str) -> None:
    """What is handed on decodes to the same pixels as the whole file."""
    data = (FOLDER / name).read_bytes()
    container = scan(data)

    assert container is not None
    assert pixels(container.data) == pixels(data)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"BM", b"\xff\xd8", b"RIFF1234WAVE", b"text"])
def test_other_files_are_none(data: bytes) -> None:
    """A file of another format is not judged."""
    assert scan(data) is None


def test_png_metadata_is_left_out() -> None:
    """Colour profiles and texts of a PNG, which may unpack to anything, are not handed on."""
    extra = chunk(b"iCCP", b"a\x00\x00" + zlib.compress(bytes(1 << 20))) * 20
    extra += chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(1 << 20))) * 20
    plain = png([b"\x00\x80"] * 2, 2)
    container = scan(png([b"\x00\x80"] * 2, 2, extra=extra))

    assert container is not None
    assert container.data == plain


def test_a_second_png_header_is_left_out() -> None:
    """Only the first IHDR counts, so that a second can't announce another size to the decoder."""
    second = header(30_000, 30_000)[8:]
    container = scan(png([b"\x00\x80"] * 2, 2, extra=second))

    assert container is not None
    assert (container.width, container.height) == (2, 2)
    assert container.data.count(b"IHDR") == 1


def test_png_without_a_header_chunk() -> None:
    """A PNG that starts with another chunk is refused."""
    assert "IHDR" in refusal(header(2, 2)[:8] + chunk(b"IDAT", bytes(20)))


def test_too_many_png_chunks() -> None:
    """Each chunk costs the decoder time whatever its size, so their number is bounded."""
    assert "65536 chunks" in refusal(header(2, 2) + chunk(b"IDAT", b"") * 70_000)


def test_jpeg_metadata_is_left_out() -> None:
    """EXIF blocks, colour profiles and comments of a JPEG are not handed on, colours' marks are."""
    data = JPEG
    for code, content in ((0xE1, exif(3)), (0xE2, b"ICC_PROFILE"), (0xFE, b"made by nobody")):
        data = with_segment(data, code, content)
    container = scan(data)

    assert container is not None
    assert not re.search(rb"Exif|ICC_PROFILE|nobody", container.data)
    assert b"JFIF" in container.data
    assert container.orientation == 3


def test_a_jpeg_thumbnail_is_no_image() -> None:
    """Headers inside an EXIF block's thumbnail are not those of the image."""
    thumbnail = saved(IMAGE.resize((8, 6)), "JPEG")
    container = scan(with_segment(JPEG, 0xE1, exif(6) + thumbnail))

    assert container is not None
    assert (container.width, container.height, container.orientation) == (40, 30, 6)


def test_what_follows_a_jpeg_is_left_out() -> None:
    """Further images or a film behind the end of the image are not handed on."""
    container = scan(JPEG + PROGRESSIVE + b"\xff\xda" * 1000)

    assert container is not None
    assert len(container.data) <= len(JPEG)


def test_too_many_jpeg_scans() -> None:
    """A scan costs a pass over all pixels for a few bytes, so their number is bounded."""
    last = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]

    assert scan(PROGRESSIVE[:-2] + last * 10 + b"\xff\xd9") is not None
    assert "64 scans" in refusal(PROGRESSIVE[:-2] + last * 64 + b"\xff\xd9")


def test_too_many_jpeg_segments() -> None:
    """Segments are bounded in number, before the first scan and after it."""
    comments = b"\xff\xfe\x00\x02" * 70_000

    assert "segments" in refusal(JPEG[:2] + comments + JPEG[2:])
    assert "segments" in refusal(JPEG[:-2] + comments + JPEG[-2:])


def test_too_many_jpeg_fill_bytes() -> None:
    """Runs of fill bytes, on which the decoder's time grows with their square, are refused."""
    assert "fill bytes" in refusal(JPEG[:-2] + b"\xff" * 2000 + JPEG[-2:])


def test_stuffing_and_restarts_are_no_segments() -> None:
    """Restart marks and stuffed bytes may be as many as the pixels need."""
    container = scan(JPEG[:-2] + (b"\xff\xd0" + b"\xff\x00") * 70_000 + JPEG[-2:])

    assert container is not None


def test_two_jpeg_frame_headers() -> None:
    """Two frame headers, which could announce two sizes, are refused."""
    start = JPEG.index(b"\xff\xc0")
    frame = JPEG[start : start + 2 + int.from_bytes(JPEG[start + 2 : start + 4])]

    assert "frame header" in refusal(JPEG[:start] + frame + JPEG[start:])


@pytest.mark.parametrize("data", [JPEG[:200], b"\xff\xd8\xff\xd9", b"\xff\xd8" + b"\xff" * 50])
def test_a_jpeg_without_a_image(data: bytes) -> None:
    """A JPEG that ends before its first scan is refused."""
    assert "JPEG" in refusal(data)


def test_a_webp_canvas_is_measured() -> None:
    """The size of an extended WebP is that of its canvas, which the decoder would allocate."""
    simple = saved(IMAGE, "WEBP")
    canvas = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + b"\xfe\x3f\x00" * 2
    body = b"WEBP" + canvas + simple[12:]
    container = scan(b"RIFF" + len(body).to_bytes(4, "little") + body)

    assert container is not None
    assert (container.width, container.height) == (16_383, 16_383)


def test_broken_webp_headers() -> None:
    """A WebP that ends in its header, or starts with no image, is refused."""
    simple = saved(IMAGE, "WEBP")

    assert "WebP" in refusal(simple[:20])
    assert "WebP" in refusal(simple[:12] + b"ABCD" + simple[16:])


@pytest.mark.parametrize(
    ("name", "depth", "orientation", "animated"),
    [
        ("rgb-16-bit.png", 16, 1, False),
        ("two-bit-transparent.png", 2, 1, False),
        ("animated.png", 8, 1, True),
        ("animated.webp", 8, 1, True),
        ("turned.jpg", 8, 6, False),
        ("turned.webp", 8, 6, False),
        ("rgb.png", 8, 1, False),
    ],
)
def test_notes_what_thinning_hides(name: str, depth: int, orientation: int, animated: bool) -> None:
    """Bit depth, orientation and animation are told, whatever is handed on."""
    container = scan((FOLDER / name).read_bytes())

    assert container is not None
    assert (container.bit_depth, container.orientation, container.animated) == (
        depth,
        orientation,
        animated,
    )


SEEDS = [(FOLDER / name).read_bytes() for name in READABLE]


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=300)
def test_damaged_files(seed: bytes, data: st.DataObject) -> None:
    """A file changed and cut anywhere is scanned or refused, and never grows."""
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        container = scan(damaged)
    except ContainerError:
        return
    assert container is None or len(container.data) <= len(damaged)


@given(st.sampled_from([seed[:16] for seed in SEEDS]), st.binary(max_size=400))
def test_arbitrary_bytes(head: bytes, tail: bytes) -> None:
    """Any bytes behind a format's first ones are scanned or refused."""
    try:
        container = scan(head + tail)
    except ContainerError:
        return
    assert container is None or len(container.data) <= len(head + tail)


def test_pixels_of_thinned_images_are_right() -> None:
    """A lossless image is the drawing that it was made from, after thinning too."""
    container = scan(saved(IMAGE))

    assert container is not None
    with Image.open(io.BytesIO(container.data)) as image:
        np.testing.assert_array_equal(np.asarray(image), drawing())
