"""Compressed bodies: inflated within bounds, piece by piece, and deflated on request."""

from __future__ import annotations

import gzip
import zlib
from contextlib import ExitStack
from typing import Protocol

from starlette.types import Scope

from app.concurrency import INLINE_SIZE, Offload
from app.errors import BodyTooLargeError, MalformedRequestError, UnsupportedMediaTypeError
from app.http.headers import lines
from app.inference.admission import Admission

GZIP, DEFLATE = "gzip", "deflate"

_WINDOW = {GZIP: zlib.MAX_WBITS + 16, DEFLATE: zlib.MAX_WBITS}
_PIECE_BYTES = 1 << 20
_FAST = 1
"""The level for answers: floating-point numbers hardly shrink any further with more effort."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = 0, /) -> bytes: ...


def encoding_of(scope: Scope) -> str | None:
    """How the request's body is compressed; None when it is not.

    Raises:
        MalformedRequestError: Content-Encoding comes twice.
        UnsupportedMediaTypeError: it is something else than gzip and deflate.
    """
    values = lines(scope, b"content-encoding")
    if len(values) > 1:
        msg = f"Content-Encoding is given {len(values)} times; send it once"
        raise MalformedRequestError(msg, field="Content-Encoding")
    encoding = values[0].strip().lower() if values else ""
    if encoding in ("", "identity"):
        return None
    if encoding not in _WINDOW:
        msg = f"Content-Encoding {encoding[:32]!r} is not taken; send {GZIP}, {DEFLATE} or none"
        raise UnsupportedMediaTypeError(msg, field="Content-Encoding")
    return encoding


def wanted_encoding(scope: Scope) -> str | None:
    """How to compress the answer: only where the client asks for exactly one of the two.

    A list is what libraries send by themselves, even where the client above them does not inflate.
    """
    values = lines(scope, b"accept-encoding")
    wanted = values[0].strip().lower() if len(values) == 1 else ""
    return wanted if wanted in _WINDOW else None


async def inflate(
    content: bytes,
    encoding: str,
    *,
    limit: int,
    buffered: Admission,
    held: ExitStack,
    offload: Offload,
) -> bytes:
    """The body as it was before it was compressed.

    Args:
        content: as it came.
        encoding: gzip or deflate (RFC 1950).
        limit: bytes that it may inflate to.
        buffered: counts the bytes of all inflated bodies together, before they are joined.
        held: gives those bytes back when it is closed.
        offload: inflates what is long in a thread.

    Raises:
        MalformedRequestError: it is not what it is said to be, ends early, or something follows.
        BodyTooLargeError: it inflates to more than `limit` bytes.
        QueueFullError: all inflated bodies together leave no room for it.
    """
    inflater: _Inflater = zlib.decompressobj(_WINDOW[encoding])
    pieces: list[bytes] = []
    total, position, tail, full = 0, 0, b"", False
    step = INLINE_SIZE
    # What has consumed all of its input may still hold back what did not fit into a full piece.
    while not inflater.eof and (tail or full or position < len(content)):
        if not tail:
            tail = content[position : position + step]
            position += len(tail)
        # The first piece is short, so that what is small needs no thread.
        piece = await offload(step, _inflate, inflater, tail, step, encoding)
        tail, full = inflater.unconsumed_tail, len(piece) == step
        total += len(piece)
        if total > limit:
            msg = f"the body inflates to more than the {limit} bytes allowed"
            raise BodyTooLargeError(msg, field="body", limit=limit)
        held.enter_context(buffered.admit(len(piece)))
        pieces.append(piece)
        step = _PIECE_BYTES
    _check_end(inflater, len(content) - position, encoding)
    return b"".join(pieces)


def _inflate(inflater: _Inflater, content: bytes, most: int, encoding: str) -> bytes:
    try:
        return inflater.decompress(content, most)
    except zlib.error as error:
        raise _damaged(encoding, str(error)) from None


def _check_end(inflater: _Inflater, unread: int, encoding: str) -> None:
    if not inflater.eof:
        raise _damaged(encoding, "it ends early")
    if unread or inflater.unused_data:
        raise _damaged(encoding, "more bytes follow its end")


def _damaged(encoding: str, why: str) -> MalformedRequestError:
    msg = f"the body is not {encoding} as its Content-Encoding says: {why}"
    return MalformedRequestError(msg, field="body")


def compress(content: bytes, encoding: str) -> bytes:
    """The content as gzip or deflate (RFC 1950)."""
    if encoding == GZIP:
        return gzip.compress(content, _FAST, mtime=0)
    return zlib.compress(content, _FAST)
