"""The one EXIF field that changes how an image is shown: its orientation."""

from __future__ import annotations

import struct

UPRIGHT = 1

_HEADER = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_ENTRY_BYTES = 12
_MAX_ENTRIES = 1024
# TIFF 6.0, section 2: the number types that an orientation is found in.
_FORMATS = {1: "B", 3: "H", 4: "L"}


def orientation(block: bytes) -> int:
    """The orientation, 1 to 8, in an EXIF block; 1 (upright) if it has none or is broken.

    Only the first image file directory is walked, entry by entry: an untrusted block can make
    a full reader allocate and warn for every tag (EXIF 2.32 §4.6.4, TIFF 6.0 section 2).

    Args:
        block: the TIFF structure, with or without the `Exif` header that JPEG puts before it.
    """
    tiff = block.removeprefix(_HEADER)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for index in range(min(count, _MAX_ENTRIES)):
            entry = start + 2 + index * _ENTRY_BYTES
            tag, kind, values = struct.unpack_from(f"{order}HHL", tiff, entry)
            if tag == _ORIENTATION and kind in _FORMATS and values == 1:
                (value,) = struct.unpack_from(f"{order}{_FORMATS[kind]}", tiff, entry + 8)
                return int(value) if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        return UPRIGHT
    return UPRIGHT
