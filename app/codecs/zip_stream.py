"""A zip file written from the front, entry by entry, with no look back (PKWARE APPNOTE 6.3.10).

Entries are stored as they are: images are compressed already. Each is whole when it is written,
so its header has its size and checksum, and any reader can unpack from the stream. The directory
at the end uses the 64-bit records where counts or offsets need them, and only there. Times are the
format's first, so that equal images make equal files.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable, Iterator

_STORED = 20
_WIDE = 45
"""The versions that a reader must know: 2.0, and 4.5 for 64-bit records."""
_MADE_ON_UNIX = 3 << 8 | _WIDE
_FIRST_DAY = 0 << 9 | 1 << 5 | 1  # 1980-01-01
_MODE = 0o100644 << 16
_MAX_16 = 0xFFFF
_MAX_32 = 0xFFFFFFFF
_PIECE = 1024


class Archive:
    """What has been written of one zip file: 8 bytes of memory for each entry.

    Args:
        name_of: number of an entry, from 0 → its name, in ASCII.
        offset: where in the file the first entry begins.
    """

    def __init__(self, name_of: Callable[[int], str], *, offset: int = 0) -> None:
        self._name_of = name_of
        self._first = self._offset = offset
        self._checksums = array("I")
        self._sizes = array("I")

    def add(self, content: bytes) -> bytes:
        """The next entry, of less than 4 GiB: its header and its content."""
        name = self._name_of(len(self._sizes)).encode("ascii")
        checksum, size = zlib.crc32(content), len(content)
        self._checksums.append(checksum)
        self._sizes.append(size)
        header = struct.pack(
            "<4s5H3I2H",
            b"PK\x03\x04",
            *(_STORED, 0, 0, 0, _FIRST_DAY),
            *(checksum, size, size),
            *(len(name), 0),
        )
        self._offset += len(header) + len(name) + size
        return header + name + content

    def directory(self) -> Iterator[bytes]:
        """The end of the file, in pieces."""
        length, offset = 0, self._first
        piece = bytearray()
        for number in range(len(self._sizes)):
            record, following = self._record(number, offset)
            piece += record
            offset = following
            if (number + 1) % _PIECE == 0:
                length += len(piece)
                yield bytes(piece)
                piece.clear()
        length += len(piece)
        yield bytes(piece) + self._end(length)

    def _record(self, number: int, offset: int) -> tuple[bytes, int]:
        """An entry's record in the directory, and where the next entry begins."""
        name = self._name_of(number).encode("ascii")
        size = self._sizes[number]
        far = offset >= _MAX_32
        extra = struct.pack("<2HQ", 1, 8, offset) if far else b""
        record = struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            *(_MADE_ON_UNIX, _WIDE if far else _STORED, 0, 0, 0, _FIRST_DAY),
            *(self._checksums[number], size, size),
            *(len(name), len(extra), 0, 0, 0),
            *(_MODE, _MAX_32 if far else offset),
        )
        return record + name + extra, offset + 30 + len(name) + size

    def _end(self, length: int) -> bytes:
        entries, start = len(self._sizes), self._offset
        wide = b""
        if entries >= _MAX_16 or max(length, start) >= _MAX_32:
            versions = (_MADE_ON_UNIX, _WIDE)
            counts = (entries, entries, length, start)
            wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, *versions, 0, 0, *counts)
            wide += struct.pack("<4sIQI", b"PK\x06\x07", 0, start + length, 1)
        count = min(entries, _MAX_16)
        sizes = min(length, _MAX_32), min(start, _MAX_32)
        return wide + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, *sizes, 0)
