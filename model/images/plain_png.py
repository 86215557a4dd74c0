"""Small, plain PNG files, handed to Pillow's decoder without what Pillow does around it.

Around it are a file, a search for the plugin, a walk through the chunks and a loop over pieces:
for a small image twice the work of the decoder itself.
"""

from __future__ import annotations

import zlib

from PIL import Image

from model.images import exif
from model.images.containers import Container

_SIGNATURE_AND_HEADER = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_MODES = {b"\x08\x00": "L", b"\x08\x02": "RGB", b"\x08\x04": "LA", b"\x08\x06": "RGBA"}
"""Pillow's modes for 8 bits a sample and the colour types without a palette."""
_ONLY_METHODS = b"\x00\x00\x00"
"""The only methods of compression and filtering, and no interlacing."""
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

# Where these begin.
_HEADER, _COLOURS, _METHODS, _CHECKSUM, _LENGTH, _DATA = 12, 24, 26, 29, 33, 41
_AROUND_DATA = _DATA + 4 + len(_END)

# Pillow gives its decoder more than this in pieces.
_LONGEST_DATA = 65_536
# Beyond, what is around the decoder no longer counts.
_MOST_PIXELS = 65_536


def decode(container: Container) -> Image.Image | None:
    """The image that Pillow makes of a PNG file; None where it takes Pillow to say what that is.

    Decodes upright, still, not interlaced grey and RGB with 8 bits a sample, with an alpha channel
    or without, whose data is one chunk. The decoder is Pillow's own, and gets the data in one
    piece as it gets it from a file. What it refuses is left to Pillow, which says why.
    """
    data = container.data
    length = len(data) - _AROUND_DATA
    mode = _MODES.get(data[_COLOURS:_METHODS])
    if mode is None or not 0 < length <= _LONGEST_DATA or not _is_plain(container, length):
        return None
    content = data[_DATA : _DATA + length]
    try:
        return Image.frombytes(mode, (container.width, container.height), content, "zip", mode, 0)
    except ValueError:
        return None


def _is_plain(container: Container, length: int) -> bool:
    data = container.data
    return (
        container.orientation == exif.UPRIGHT
        and not container.animated
        and 0 < container.width * container.height <= _MOST_PIXELS
        and data.startswith(_SIGNATURE_AND_HEADER)
        and data[_METHODS:_CHECKSUM] == _ONLY_METHODS
        and data[_LENGTH:_DATA] == length.to_bytes(4) + b"IDAT"
        and data.endswith(_END)
        # The data has a checksum too, which Pillow does not look at.
        and zlib.crc32(data[_HEADER:_CHECKSUM]) == int.from_bytes(data[_CHECKSUM:_LENGTH])
    )
