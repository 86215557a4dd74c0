"""Writes a zip file in pieces that can be sent before the next entry exists.

Python's `zipfile` writes each entry and then corrects its header, which needs a file that can seek.
Here that file holds the bytes since the last piece, so a header always has the entry's size and
checksum and any reader can unpack the stream. An entry takes about 400 bytes of memory.
"""

from __future__ import annotations

import io
import zipfile
from typing import IO, cast

_REGULAR_FILE = 0o100644 << 16


class Archive:
    """One zip file. Entries are stored without compression, since images are compressed already.

    Every entry has the format's first time, so equal contents make equal files.
    """

    def __init__(self) -> None:
        self._unsent = _Unsent()
        self._file = zipfile.ZipFile(cast("IO[bytes]", self._unsent), "w")

    def add(self, name: str, content: bytes) -> bytes:
        """Returns the next bytes of the file: the entry's header and content."""
        entry = zipfile.ZipInfo(name)
        entry.external_attr = _REGULAR_FILE
        self._file.writestr(entry, content)
        return self._unsent.take()

    def close(self) -> bytes:
        """Returns the directory, which ends the file."""
        self._file.close()
        return self._unsent.take()


class _Unsent:
    """The end of a file whose earlier bytes have been taken.

    Not a `BytesIO`: an archive that is dropped unfinished writes its directory when it is
    collected, and a `BytesIO` may be closed by then.
    """

    def __init__(self) -> None:
        self._content = bytearray()
        self._taken = 0
        self._position = 0

    def write(self, data: bytes) -> int:
        self._content[self._position : self._position + len(data)] = data
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._taken + self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET  # noqa: S101 zipfile uses no other
        self._position = position - self._taken
        return position

    def flush(self) -> None:
        """Does nothing: the bytes are in memory."""

    def take(self) -> bytes:
        content = bytes(self._content)
        self._taken += len(content)
        self._content.clear()
        self._position = 0
        return content
