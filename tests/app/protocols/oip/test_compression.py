"""Compressed bodies: whole ones come out as they were, others are refused within bounds."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.concurrency import Offload
from app.errors import (
    BodyTooLargeError,
    MalformedRequestError,
    QueueFullError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from app.inference.admission import Admission
from app.protocols.oip.compression import compress, encoding_of, inflate, wanted_encoding

MiB = 1 << 20
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def inflated(
    content: bytes,
    encoding: str,
    *,
    limit: int = 64 * MiB,
    buffered: Admission | None = None,
    held_by_others: int = 0,
) -> bytes:
    buffered = buffered or Admission(64 * MiB)
    offload = Offload(1)

    async def run() -> bytes:
        with ExitStack() as held:
            whole = await inflate(
                content, encoding, limit=limit, buffered=buffered, held=held, offload=offload
            )
            assert buffered.used == held_by_others + len(whole)
            return whole

    try:
        return asyncio.run(run())
    finally:
        offload.close()
        assert buffered.used == held_by_others


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, MiB, MiB + 16_384, 3 * MiB + 7])
@pytest.mark.parametrize("random_bytes", [True, False])
def test_what_was_compressed_comes_back(encoding: str, size: int, random_bytes: bool) -> None:
    """Whatever its length, and whether it shrank, also where a piece ends at its end."""
    content = np.random.default_rng(5).bytes(size) if random_bytes else bytes(size)
    assert inflated(COMPRESS[encoding](content), encoding) == content
    assert inflated(compress(content, encoding), encoding) == content


@pytest.mark.parametrize("encoding", COMPRESS)
def test_what_inflates_too_far_is_refused_soon(encoding: str) -> None:
    """A bomb is given up where it passes the limit, and never in memory beyond that."""
    bomb = COMPRESS[encoding](bytes(200 * MiB))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError, match="inflates to more than the 4194304") as large:
            inflated(bomb, encoding, limit=4 * MiB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert large.value.limit == 4 * MiB
    assert peak < 12 * MiB


def test_all_inflated_bodies_together_are_bounded() -> None:
    """Where others hold the room, a body is refused until they give it back."""
    buffered = Admission(2 * MiB)
    content = zlib.compress(bytes(MiB))
    buffered.take(2 * MiB - 100)
    with pytest.raises(QueueFullError):
        inflated(content, "deflate", buffered=buffered, held_by_others=2 * MiB - 100)
    buffered.give(2 * MiB - 100)
    assert inflated(content, "deflate", buffered=buffered) == bytes(MiB)


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (b"", "gzip", "ends early"),
        (b"", "deflate", "ends early"),
        (gzip.compress(b"abc")[:-1], "gzip", "ends early"),
        (zlib.compress(b"abc")[:-1], "deflate", "ends early"),
        (gzip.compress(b"abc") + b"x", "gzip", "more bytes follow"),
        (gzip.compress(b"abc") * 2, "gzip", "more bytes follow"),
        (zlib.compress(b"abc") + bytes(3 * MiB), "deflate", "more bytes follow"),
        (b"{}", "gzip", "is not valid gzip"),
        (b"{}", "deflate", "is not valid deflate"),
        (zlib.compress(b"abc"), "gzip", "is not valid gzip"),
        (gzip.compress(b"abc"), "deflate", "is not valid deflate"),
        (zlib.compress(b"abc")[2:-4], "deflate", "is not valid deflate"),
        (gzip.compress(b"abc")[:-8] + bytes(8), "gzip", "is not valid gzip"),
    ],
)
def test_what_is_not_whole_is_malformed(content: bytes, encoding: str, words: str) -> None:
    """What ends early, goes on, is damaged or is something else is refused."""
    with pytest.raises(MalformedRequestError, match=words):
        inflated(content, encoding)


@given(st.binary(max_size=80), st.sampled_from(["gzip", "deflate"]), st.booleans())
def test_any_bytes_inflate_or_are_refused(content: bytes, encoding: str, damaged: bool) -> None:
    """Whatever comes is bytes or an error of the service."""
    sent = content
    if damaged:
        sent = COMPRESS[encoding](bytes(50))
        middle = len(sent) // 2
        sent = sent[:middle] + content + sent[middle:]
    try:
        inflated(sent, encoding)
    except ServiceError as error:
        assert error.code == "malformed_request"  # noqa: PT017


def scope(name: str, *values: str) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode()) for value in values]}


def test_bodies_are_gzip_deflate_or_plain() -> None:
    """Other encodings, lists of them and two headers are refused."""
    name = "content-encoding"
    for value, wanted in (("gzip", "gzip"), (" Deflate ", "deflate"), ("identity", None)):
        assert encoding_of(scope(name, value)) == wanted
    assert encoding_of(scope(name)) is None
    for value in ("br", "zstd", "gzip, gzip", "x-gzip"):
        with pytest.raises(UnsupportedMediaTypeError, match="send gzip, deflate or none"):
            encoding_of(scope(name, value))
    with pytest.raises(MalformedRequestError, match="2 times"):
        encoding_of(scope(name, "gzip", "gzip"))


def test_answers_are_compressed_on_request_only() -> None:
    """A list is what a library sends by itself; exactly one name is a request."""
    name = "accept-encoding"
    assert wanted_encoding(scope(name, "gzip")) == "gzip"
    assert wanted_encoding(scope(name, "Deflate")) == "deflate"
    for values in ((), ("gzip, deflate",), ("br",), ("*",), ("gzip;q=1",), ("gzip", "deflate")):
        assert wanted_encoding(scope(name, *values)) is None
