"""Decompresses request bodies piece by piece within a limit, and compresses responses."""

from __future__ import annotations

import gzip
import zlib
from contextlib import ExitStack

from starlette.types import Scope

from app.concurrency import INLINE_SIZE, Offload
from app.errors import BodyTooLargeError, MalformedRequestError, UnsupportedMediaTypeError
from app.http.headers import lines, single
from app.inference.admission import Admission

GZIP, DEFLATE = "gzip", "deflate"

_WINDOW = {GZIP: zlib.MAX_WBITS + 16, DEFLATE: zlib.MAX_WBITS}
_PIECE_BYTES = 1 << 20
_FAST = 1
"""The compression level; higher levels hardly reduce floating-point numbers any further."""


def encoding_of(scope: Scope) -> str | None:
    """Returns the encoding of the request's body; None without one.

    Raises:
        MalformedRequestError: Content-Encoding is given twice.
        UnsupportedMediaTypeError: it is neither gzip nor deflate.
    """
    encoding = (single(scope, "Content-Encoding") or "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in _WINDOW:
        msg = f"Content-Encoding {encoding[:32]!r} is not supported; send {GZIP}, {DEFLATE} or none"
        raise UnsupportedMediaTypeError(msg, field="Content-Encoding")
    return encoding


def wanted_encoding(scope: Scope) -> str | None:
    """Returns the encoding for the response, if the client asks for exactly gzip or deflate.

    Libraries send lists by default, even if their caller does not decompress.
    """
    values = lines(scope, b"accept-encoding")
    wanted = values[0].strip().lower() if len(values) == 1 else ""
    return wanted if wanted in _WINDOW else None


async def inflate(
    content: bytes,
    encoding: str,
    limit: int,
    buffered: Admission,
    held: ExitStack,
    offload: Offload,
) -> bytes:
    """Returns the decompressed body.

    Args:
        content: the compressed body.
        encoding: gzip or deflate (RFC 1950).
        limit: the most bytes after decompression.
        buffered: counts the bytes of all decompressed bodies.
        held: releases those bytes when it closes.
        offload: decompresses long bodies in a thread.

    Raises:
        MalformedRequestError: it has another encoding, ends early, or has bytes after its end.
        BodyTooLargeError: it decompresses to more than `limit` bytes.
        QueueFullError: all decompressed bodies together would exceed their limit.
    """
    inflater = zlib.decompressobj(_WINDOW[encoding])
    pieces: list[bytes] = []
    total, position, tail, full = 0, 0, b"", False
    step = INLINE_SIZE
    # After all input is consumed, output that did not fit into a full piece may remain.
    while not inflater.eof and (tail or full or position < len(content)):
        if not tail:
            tail = content[position : position + step]
            position += len(tail)
        # The first piece is short, so a small body needs no thread.
        piece = await offload(step, _inflate, inflater, tail, step, encoding)
        tail, full = inflater.unconsumed_tail, len(piece) == step
        total += len(piece)
        if total > limit:
            msg = f"the body inflates to more than the {limit} bytes allowed"
            raise BodyTooLargeError(msg, field="body", limit=limit)
        held.enter_context(buffered.admit(len(piece)))
        pieces.append(piece)
        step = _PIECE_BYTES
    if not inflater.eof:
        raise _damaged(encoding, "it ends early")
    if inflater.unused_data or position < len(content):
        raise _damaged(encoding, "more bytes follow its end")
    return b"".join(pieces)


def _inflate(inflater: zlib._Decompress, content: bytes, most: int, encoding: str) -> bytes:
    try:
        return inflater.decompress(content, most)
    except zlib.error as error:
        raise _damaged(encoding, str(error)) from None


def _damaged(encoding: str, why: str) -> MalformedRequestError:
    return MalformedRequestError(f"the body is not valid {encoding}: {why}", field="body")


def compress(content: bytes, encoding: str) -> bytes:
    """The content as gzip or deflate (RFC 1950)."""
    if encoding == GZIP:
        return gzip.compress(content, _FAST, mtime=0)
    return zlib.compress(content, _FAST)
