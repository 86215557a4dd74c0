"""PNG, JPEG and WebP files as strangers send them: measured and thinned before a decoder runs.

A decoder's time and memory follow from more than width × height. A PNG of 2 MB can hold two
thousand colour profiles that unpack to 1 MB each; a progressive JPEG can say in 44 bytes that all
its pixels be visited again. So the structure is walked here first: counts are bounded, and only
what makes the first frame's pixels is handed on. Of PNG and JPEG files, colour profiles, texts,
thumbnails and maker notes never reach the decoder. WebP files are handed on whole: their chunks
are not compressed, so that what a profile takes is its bytes in the file, and Pillow keeps it
without reading it. Orientation and animation are noted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.images import exif

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

_JPEG_START = b"\xff\xd8"
_JPEG_EXIF = b"Exif\x00\x00"
# Any marker but stuffing (00) and restarts (D0-D7), which may stand between any two blocks.
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Tables (DHT, DAC, DQT, DRI), and the two application segments that say what the colours mean.
_JPEG_KEPT = _JPEG_FRAMES | {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}
_JPEG_BARE = frozenset({0x01, 0xD8})
# Fill bytes may stand before any marker; libjpeg, fed in blocks, starts over on each block of them.
_JPEG_LONGEST_FILL = b"\xff" * 1024
_JPEG_SCAN, _JPEG_END, _JPEG_APP1 = 0xDA, 0xD9, 0xE1

_WEBP_ANIMATED = 0x02

_MAX_PIECES = 65_536
# A camera writes about ten before the frame's header: EXIF, colour profile, tables.
_SEGMENTS_BEFORE_FRAME = 256
_WEBP_HEADER = 30
# Encoders write about ten; each costs a pass over all pixels, however few bytes it has.
_MAX_SCANS = 64


class ContainerError(ValueError):
    """The file's structure is broken, or larger than any encoder makes it."""


@dataclass(frozen=True, slots=True)
class Container:
    """An image file's structure, and its bytes without the parts that no decoder needs."""

    format: str
    """Pillow's name: PNG, JPEG or WEBP."""
    data: bytes
    width: int
    height: int
    bit_depth: int = 8
    """Bits of each sample in the file."""
    orientation: int = exif.UPRIGHT
    """As EXIF counts, 1 to 8."""
    animated: bool = False


def scan(data: bytes) -> Container | None:
    """Walks the structure of a PNG, JPEG or WebP file; None for any other.

    Takes time in proportion to the file's size, and decodes nothing.

    Raises:
        ContainerError: a broken structure, more than 65,536 chunks or segments, or more than 64
            scans of a JPEG.
    """
    if data.startswith(_PNG_SIGNATURE):
        return _scan_png(data)
    if data.startswith(_JPEG_START + b"\xff"):
        return _scan_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _scan_webp(data)
    return None


def announced_pixels(data: bytes) -> int:
    """Width × height from the header of a JPEG or WebP file, 0 where it is not near the start.

    Looks at some hundred segments at most, and at nothing between them, so that it takes
    microseconds whatever the file is.
    """
    if data.startswith(_JPEG_START):
        position = len(_JPEG_START)
        for _ in range(_SEGMENTS_BEFORE_FRAME):
            match = _JPEG_MARKER.match(data, position)
            if match is None:
                return 0
            code, body, position = _next_segment(data, match.start())
            if code in _JPEG_FRAMES:
                height, width = (int.from_bytes(data[at : at + 2]) for at in (body + 3, body + 5))
                return width * height
        return 0
    try:
        container = _scan_webp(data[:_WEBP_HEADER]) if data[8:12] == b"WEBP" else None
    except ContainerError:
        return 0
    return container.width * container.height if container else 0


def _scan_png(data: bytes) -> Container:
    """PNG specification, third edition, §5."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ContainerError("a PNG file must start with its IHDR chunk")
    kept = [_PNG_SIGNATURE]
    seen: set[bytes] = set()
    orientation, animated, position = exif.UPRIGHT, False, len(_PNG_SIGNATURE)
    for _ in range(_MAX_PIECES):
        kind = data[position + 4 : position + 8]
        body, end = position + 8, position + 12 + int.from_bytes(data[position : position + 4])
        if kind in _PNG_KEPT and (kind == b"IDAT" or kind not in seen):
            kept.append(data[position:end])
        elif kind == b"eXIf" and kind not in seen:
            orientation = exif.orientation(data[body : end - 4])
        elif kind == b"acTL":
            animated = int.from_bytes(data[body : body + 4]) > 1
        if kind == b"IEND" or end >= len(data):
            break
        seen.add(kind)
        position = end
    else:
        raise _too_many("chunks")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return Container("PNG", b"".join(kept), width, height, data[24], orientation, animated)


def _scan_jpeg(data: bytes) -> Container:
    """ITU-T T.81, annex B."""
    kept = [_JPEG_START]
    size: tuple[int, int, int] | None = None
    orientation, position = exif.UPRIGHT, len(_JPEG_START)
    for _ in range(_MAX_PIECES):
        code, body, end = _next_segment(data, position)
        if code in (_JPEG_SCAN, _JPEG_END):
            break
        if code in _JPEG_FRAMES:
            if size is not None:
                msg = "a JPEG file must have one frame header, and this one has more"
                raise ContainerError(msg)
            height, width = (int.from_bytes(data[at : at + 2]) for at in (body + 3, body + 5))
            size = (width, height, data[body + 2] if body + 2 < len(data) else 0)
        elif code == _JPEG_APP1 and orientation == exif.UPRIGHT:
            segment = data[body + 2 : end]
            if segment.startswith(_JPEG_EXIF):
                orientation = exif.orientation(segment)
        if code in _JPEG_KEPT:
            kept.append(data[body - 2 : end])
        position = end
    else:
        raise _too_many("segments")
    if size is None or code != _JPEG_SCAN:
        raise ContainerError("the JPEG file has no frame header or no scan")
    scans = data[body - 2 : _end_of_scans(data, body - 2)]
    if _JPEG_LONGEST_FILL in scans:
        msg = f"the JPEG file has {len(_JPEG_LONGEST_FILL)} or more fill bytes in a row"
        raise ContainerError(msg)
    kept.append(scans)
    return Container("JPEG", b"".join(kept), *size, orientation)


def _next_segment(data: bytes, position: int) -> tuple[int, int, int]:
    """The next marker's code, where the two bytes of its length are, and where it ends."""
    match = _JPEG_MARKER.search(data, position)
    if match is None:
        raise ContainerError("the JPEG file ends before its image does")
    code, body = match[1][0], match.end()
    if code in _JPEG_BARE or code == _JPEG_END:
        return code, body, body
    return code, body, body + max(2, int.from_bytes(data[body : body + 2]))


def _end_of_scans(data: bytes, start: int) -> int:
    """The end of the image, after its scans are counted; later bytes don't belong to it."""
    scans, position = 0, start
    for _ in range(_MAX_PIECES):
        match = _JPEG_MARKER.search(data, position)
        if match is None:
            return len(data)
        code, body, position = _next_segment(data, match.start())
        if code == _JPEG_END:
            return body
        scans += code == _JPEG_SCAN
        if scans > _MAX_SCANS:
            raise ContainerError(f"the JPEG file has more than {_MAX_SCANS} scans")
    raise _too_many("segments")


def _scan_webp(data: bytes) -> Container:
    """RFC 9649, §2."""
    kind = data[12:16]
    if len(data) < 30 or kind not in (b"VP8 ", b"VP8L", b"VP8X"):
        raise ContainerError("the WebP file's header is broken")
    if kind == b"VP8 ":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        return Container("WEBP", data, width, height)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Container("WEBP", data, (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    animated = bool(data[20] & _WEBP_ANIMATED)
    return Container("WEBP", data, width, height, 8, _webp_orientation(data), animated)


def _webp_orientation(data: bytes) -> int:
    position = 12
    for _ in range(_MAX_PIECES):
        body = position + 8
        length = int.from_bytes(data[position + 4 : body], "little")
        if data[position : position + 4] == b"EXIF":
            return exif.orientation(data[body : body + length])
        if body + length >= len(data):
            return exif.UPRIGHT
        position = body + length + length % 2
    raise _too_many("chunks")


def _too_many(pieces: str) -> ContainerError:
    return ContainerError(f"the file has more than {_MAX_PIECES} {pieces}")
