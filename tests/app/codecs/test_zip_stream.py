"""Zip files written from the front, read by others' readers."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from app.codecs.zip_stream import Archive


def name_of(number: int) -> str:
    return f"{number:06}.bin"


def whole(archive: Archive, contents: list[bytes]) -> bytes:
    return b"".join([*map(archive.add, contents), *archive.directory()])


def test_python_reads_what_was_written() -> None:
    """Names, contents and checksums come back, an empty entry included; nothing is compressed."""
    contents = [b"one", b"", bytes(range(256)) * 100]
    with zipfile.ZipFile(io.BytesIO(whole(Archive(name_of), contents))) as file:
        assert file.testzip() is None
        assert file.namelist() == ["000000.bin", "000001.bin", "000002.bin"]
        assert [file.read(name) for name in file.namelist()] == contents
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in file.infolist()} == {0o100644}


def test_an_empty_archive_is_one() -> None:
    """No entry at all is a valid file too."""
    assert zipfile.ZipFile(io.BytesIO(whole(Archive(name_of), []))).namelist() == []


@pytest.mark.parametrize("entries", [65_534, 65_535, 65_536, 70_001])
def test_more_entries_than_16_bits_count(entries: int) -> None:
    """From 65,535 entries on the 64-bit records are there, and Python finds every entry."""
    content = whole(Archive(name_of), [b"x"] * entries)
    assert (b"PK\x06\x06" in content) == (entries >= 65_535)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert len(file.infolist()) == entries
        assert file.read(name_of(entries - 1)) == b"x"
        assert file.testzip() is None


@pytest.mark.parametrize("offset", [2**32 - 60, 2**32 - 1, 2**33])
def test_entries_beyond_four_gigabytes(tmp_path: Path, offset: int) -> None:
    """Offsets that 32 bits cannot hold are found, in a file with a hole before the entries."""
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.seek(offset)
        file.write(whole(Archive(name_of, offset=offset), [b"near", b"far"]))
    with zipfile.ZipFile(path) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b"near", b"far"]


def test_equal_contents_make_equal_files() -> None:
    """Nothing of the clock or the machine is in the file."""
    assert whole(Archive(name_of), [b"a", b"b"]) == whole(Archive(name_of), [b"a", b"b"])


@pytest.mark.skipif(not shutil.which("unzip"), reason="apt-get install unzip")
def test_info_zip_reads_it(tmp_path: Path) -> None:
    """`unzip -t` finds no fault, 64-bit records included."""
    path = tmp_path / "many.zip"
    path.write_bytes(whole(Archive(name_of), [b"x"] * 66_000))
    assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
