"""Writes a zip file in pieces that can be sent before the next entry exists.

Python's `zipfile` writes each entry and then corrects its header, which needs a file that can seek.
Here that file holds the bytes since the last piece, so a header always has the entry's size and
checksum and any reader can unpack the stream. An entry takes about 400 bytes of memory.
"""

from __future__ import annotations

import io
import zipfile

_REGULAR_FILE = 0o100644 << 16


class Archive:
    """One zip file. Entries are stored without compression, since images are compressed already.

    Every entry has the format's first time, so equal contents make equal files.
    """

    def __init__(self) -> None:
        self._unsent = _Unsent()
        self._file = _Zip(self._unsent, "w")

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


class _Zip(zipfile.ZipFile):
    def __del__(self) -> None:
        """Leaves an abandoned file without an end; `ZipFile` would write its directory."""


class _Unsent(io.BytesIO):
    """The end of a file of which all earlier bytes have been taken."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def tell(self) -> int:
        return self._taken + super().tell()

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        assert whence == io.SEEK_SET  # noqa: S101 zipfile uses no other
        return self._taken + super().seek(position - self._taken)

    def take(self) -> bytes:
        content = self.getvalue()
        self._taken += len(content)
        super().seek(0)
        self.truncate()
        return content
