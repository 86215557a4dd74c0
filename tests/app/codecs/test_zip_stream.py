"""Zip files written from the front, read by others' readers."""

from __future__ import annotations

import gc
import io
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from app.codecs.zip_stream import Archive


def whole(contents: list[bytes]) -> bytes:
    archive = Archive()
    entries = [archive.add(f"{n:06}.bin", content) for n, content in enumerate(contents)]
    return b"".join([*entries, archive.close()])


def test_python_reads_what_was_written() -> None:
    """Names, contents and checksums come back, an empty entry included; nothing is compressed."""
    contents = [b"one", b"", bytes(range(256)) * 100]
    with zipfile.ZipFile(io.BytesIO(whole(contents))) as file:
        assert file.testzip() is None
        assert file.namelist() == ["000000.bin", "000001.bin", "000002.bin"]
        assert [file.read(name) for name in file.namelist()] == contents
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in file.infolist()} == {0o100644}


def test_a_reader_can_unpack_the_stream() -> None:
    """Each entry's header has its size and checksum, so nobody needs the directory."""
    archive = Archive()
    archive.add("a", b"first")
    piece = archive.add("b", b"second")
    checksum, stored, size, name = struct.unpack("<3IH", piece[14:28])
    assert piece.startswith(b"PK\x03\x04")
    assert piece[6:8] == b"\0\0"
    assert (checksum, stored, size, name) == (zlib.crc32(b"second"), 6, 6, 1)
    assert piece[30:] == b"bsecond"


def test_an_empty_archive_is_valid() -> None:
    """A file without entries can be read."""
    assert zipfile.ZipFile(io.BytesIO(whole([]))).namelist() == []


@pytest.mark.parametrize("entries", [65_534, 65_536, 70_001])
def test_more_entries_than_16_bits_count(entries: int) -> None:
    """More than 65,535 entries need 64-bit records, and Python finds every entry."""
    content = whole([b"x"] * entries)
    assert (b"PK\x06\x06" in content) == (entries > 65_535)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert len(file.infolist()) == entries
        assert file.read(f"{entries - 1:06}.bin") == b"x"
        assert file.testzip() is None


def test_entries_beyond_four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets that 32 bits cannot hold use 64-bit records; a lower limit stands in for 4 GiB."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    content = whole([bytes(900), b"near", b"far"])
    assert b"PK\x06\x06" in content
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert [file.read(name) for name in file.namelist()[1:]] == [b"near", b"far"]


def test_an_archive_can_be_abandoned() -> None:
    """An archive that nobody closes leaves no error behind."""
    archive = Archive()
    archive.add("a", b"first")
    del archive
    gc.collect()


def test_equal_contents_make_equal_files() -> None:
    """The file depends on neither the clock nor the machine."""
    assert whole([b"a", b"b"]) == whole([b"a", b"b"])


@pytest.mark.skipif(not shutil.which("unzip"), reason="apt-get install unzip")
def test_info_zip_reads_it(tmp_path: Path) -> None:
    """`unzip -t` finds no fault, 64-bit records included."""
    path = tmp_path / "many.zip"
    path.write_bytes(whole([b"x"] * 66_000))
    assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
