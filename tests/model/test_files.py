"""Archives are read only if they are what they should be, and files are replaced as a whole."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.files import read_arrays, replacing, write_folder


def packed(member: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.npy", member)
    return buffer.getvalue()


def member(header: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


def array(shape: str, descr: str = "<f4", body: bytes = b"") -> bytes:
    return member(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n", body)


def encrypted(content: bytes) -> bytes:
    """With the bit set that says so, in both places."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def of_method(content: bytes, method: int) -> bytes:
    changed = bytearray(content)
    changed[8] = method
    changed[content.index(b"PK\x01\x02") + 10] = method
    return bytes(changed)


def bad_deflate() -> bytes:
    content = bytearray(packed(array("(100,)", body=bytes(400)), zipfile.ZIP_DEFLATED))
    start = 30 + len("a.npy")
    content[start : start + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


def test_arrays_come_back() -> None:
    """With their types and shapes, deflated or not."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.ones((2, 3), np.float16), b=np.arange(2))

    arrays = read_arrays(buffer.getvalue(), ("a", "b"), 100)

    assert arrays["a"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert arrays["a"].dtype == np.float16
    assert arrays["b"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not an archive"),
        (encrypted(packed(array("()", body=bytes(4)))), "encrypted"),
        (of_method(packed(array("()", body=bytes(4))), 99), "other than deflate"),
        (bad_deflate(), "not an archive"),
        (packed(member("(" * 9000)), "not an archive"),
        (packed(member("{'descr': [")), "not an archive"),
        (packed(array("(15000000000,)")), "but 0 follow"),
        (packed(array("(-1,)")), "none of them negative"),
        (packed(array("(1,)", "|O", bytes(8))), "needs floats or integers"),
        (packed(array("(1,)", "|V0")), "needs floats or integers"),
        (packed(bytes(100_000), zipfile.ZIP_DEFLATED), "at most"),
    ],
)
def test_damaged_and_hostile_archives_are_refused(content: bytes, told: str) -> None:
    """Whatever the reader stumbles over is a ValueError, and no room is made for it before."""
    with pytest.raises(ValueError, match=told):
        read_arrays(content, ("a",), 8)


def test_other_names_are_refused() -> None:
    """Both lists are told."""
    with pytest.raises(ValueError, match="has the arrays a, it should have a, b"):
        read_arrays(packed(array("()", body=bytes(4))), ("a", "b"), 8)


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_read_or_a_value_error(place: int, value: int) -> None:
    """No other error gets out."""
    content = bytearray(packed(array("(4,)", body=bytes(16)), zipfile.ZIP_DEFLATED))
    content[place % len(content)] = value
    with contextlib.suppress(ValueError):
        read_arrays(bytes(content), ("a",), 16)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """A block that raises leaves the old file, and no temporary one."""
    path = tmp_path / "file"
    with replacing(path) as temporary:
        temporary.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_has_files_is_not_overwritten(tmp_path: Path) -> None:
    """A folder appears with all its files; a second one of that name is an error."""
    write_folder(tmp_path / "a" / "1", {"x": b"1", "y": b"2"})

    with pytest.raises(OSError, match="not empty"):
        write_folder(tmp_path / "a" / "1", {"x": b"3"})

    assert sorted(one.name for one in (tmp_path / "a").iterdir()) == ["1"]
    assert (tmp_path / "a" / "1" / "x").read_bytes() == b"1"
