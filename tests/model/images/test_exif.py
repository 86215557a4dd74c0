"""The orientation, and nothing that a stranger's block can do."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.images.exif import orientation

TIFF_SHORT, TIFF_LONG = 3, 4


def block(value: int, *, order: str = "<", kind: int = TIFF_SHORT, others: int = 0) -> bytes:
    mark = b"II*\x00" if order == "<" else b"MM\x00*"
    entries = [struct.pack(f"{order}HHLL", 0x100 + tag, TIFF_LONG, 1, 7) for tag in range(others)]
    number = struct.pack(f"{order}{'H' if kind == TIFF_SHORT else 'L'}", value).ljust(4, b"\x00")
    entries.append(struct.pack(f"{order}HHL", 0x112, kind, 1) + number)
    count = struct.pack(f"{order}H", len(entries))
    return mark + struct.pack(f"{order}L", 8) + count + b"".join(entries) + bytes(4)


@pytest.mark.parametrize("value", range(1, 9))
def test_reads_what_pillow_writes(value: int) -> None:
    """An orientation that Pillow wrote is read back."""
    written = Image.Exif()
    written[0x0112] = value
    written[0x010F] = "a camera"

    assert orientation(written.tobytes()) == value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [TIFF_SHORT, TIFF_LONG])
@pytest.mark.parametrize("prefix", [b"", b"Exif\x00\x00"])
def test_takes_both_byte_orders(order: str, kind: int, prefix: bytes) -> None:
    """Either byte order, as 16 or 32 bits, with or without JPEG's header, behind other tags."""
    assert orientation(prefix + block(6, order=order, kind=kind, others=5)) == 6


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_unknown_orientations_are_upright(value: int) -> None:
    """A value that EXIF does not define turns nothing."""
    assert orientation(block(value)) == 1


@pytest.mark.parametrize("kept", range(len(block(6)) - 4))
def test_a_cut_off_block_is_upright(kept: int) -> None:
    """A block cut off anywhere before the end of the tag turns nothing, or keeps the tag."""
    assert orientation(block(6)[:kept]) in (1, 6)


def test_a_block_without_the_tag_is_upright() -> None:
    """Other tags turn nothing."""
    written = Image.Exif()
    written[0x010F] = "a camera"

    assert orientation(written.tobytes()) == 1


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"II*\x00", b"MM\x00*", b"Exif\x00\x00II*\x00"])
)
def test_any_bytes_give_an_orientation(tail: bytes, head: bytes) -> None:
    """Whatever the bytes are, the answer is one of the eight orientations."""
    assert 1 <= orientation(head + tail) <= 8
