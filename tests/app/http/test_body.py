"""What a body's headers say, and JSON within bounds."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from app.errors import (
    BodyTooLargeError,
    ClientDisconnectedError,
    InvalidFieldError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from app.http import body as bodies
from app.http.body import Body, parse_object, unsupported
from tests.app.asgi import post

JSON_LIMIT = 100


async def read_body(request: Request) -> Body:
    return await bodies.read_body(request, JSON_LIMIT)


def parse(content: bytes, max_values: int = 100, max_containers: int = 100) -> dict[str, object]:
    return parse_object(content, max_values=max_values, max_containers=max_containers)


@pytest.mark.parametrize(
    ("content_type", "media_type", "boundary"),
    [
        ("application/json", "application/json", b""),
        ("Application/JSON; charset=utf-8", "application/json", b""),
        ("image/png", "image/png", b""),
        ("multipart/form-data; boundary=abc", "multipart/form-data", b"abc"),
        ("multipart/form-data;boundary=a'=?-1", "multipart/form-data", b"a'=?-1"),
        ("Multipart/Form-Data; Boundary=abc", "multipart/form-data", b"abc"),
        ('multipart/form-data; x=y; boundary="a b;c"', "multipart/form-data", b"a b;c"),
        ("", "", b""),
    ],
)
def test_content_types(content_type: str, media_type: str, boundary: bytes) -> None:
    """The media type comes in lower case, without parameters, and the boundary unquoted."""
    body = post(read_body, content=b"data", headers={"content-type": content_type})

    assert body == Body(b"data", media_type, boundary)


def test_nothing_at_all() -> None:
    """A request without a body and without a type is an empty body without a type."""
    assert post(read_body) == Body(b"", "", b"")


@pytest.mark.parametrize(
    ("media_type", "is_json"),
    [
        ("application/json", True),
        ("application/problem+json", True),
        ("text/json", False),
        ("image/x+json", False),
        ("", False),
    ],
)
def test_json_types(media_type: str, is_json: bool) -> None:
    """JSON is declared by its own type or by the +json suffix of an application type."""
    assert Body(b"", media_type, b"").is_json is is_json


def test_a_repeated_content_type() -> None:
    """Two Content-Type headers contradict each other, and are refused."""
    with pytest.raises(MalformedRequestError, match="2 times"):
        post(read_body, content=b"x", raw=[("content-type", "a/b"), ("content-type", "c/d")])


def test_an_endless_content_type() -> None:
    """A Content-Type of thousands of characters is refused before it is parsed."""
    with pytest.raises(MalformedRequestError, match="1024 characters"):
        post(read_body, content=b"x", headers={"content-type": "a/b;" + "c=d;" * 1000})


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "unknown"])
def test_compressed_bodies(encoding: str) -> None:
    """A compressed body is refused: its size says nothing about what it unpacks to."""
    with pytest.raises(UnsupportedMediaTypeError, match="uncompressed"):
        post(read_body, content=b"x", headers={"content-encoding": encoding})


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_uncompressed_bodies(encoding: str) -> None:
    """`identity` is no compression."""
    assert post(read_body, content=b"x", headers={"content-encoding": encoding}).content == b"x"


@pytest.mark.parametrize("media_type", ["application/json", "application/x+json", ""])
@pytest.mark.parametrize("announced", [True, False])
def test_json_that_is_too_long(media_type: str, announced: bool) -> None:
    """JSON above its limit is refused with the formats that may be longer, chunked or not."""

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(JSON_LIMIT)
        yield b"x"

    content = bytes(JSON_LIMIT + 1) if announced else pieces()
    with pytest.raises(
        BodyTooLargeError, match="100 bytes; send larger images as multipart"
    ) as error:
        post(read_body, content=content, headers={"content-type": media_type})
    assert error.value.limit == JSON_LIMIT


@pytest.mark.parametrize(
    ("media_type", "length"), [("application/json", JSON_LIMIT), ("image/png", JSON_LIMIT + 1)]
)
def test_what_the_limit_on_json_lets_through(media_type: str, length: int) -> None:
    """The limit itself is allowed, and other types do not have it."""
    body = post(read_body, content=bytes(length), headers={"content-type": media_type})
    assert len(body.content) == length


def test_a_client_that_leaves() -> None:
    """A connection that closes in the middle of the body is the caller's leaving."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    request = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(ClientDisconnectedError):
        asyncio.run(read_body(request))


def test_unsupported_types_list_the_right_ones() -> None:
    """The error names the type that came, or that none came, and those that are taken."""
    other = unsupported(Body(b"", "text/plain", b""), ("a/b", "c/d"))
    none = unsupported(Body(b"", "", b""), ("a/b", "c/d"))

    assert other.detail == "Content-Type text/plain is not supported here; send one of a/b, c/d"
    assert none.detail == "the body has no Content-Type; send one of a/b, c/d"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"nonsense", b'{"n": 01}', b"{'n': 1}", b"\xff\xfe"]
)
def test_what_is_no_json(content: bytes) -> None:
    """Anything that is no JSON is refused, and the error says where it stops to be."""
    with pytest.raises(MalformedRequestError, match=r"not JSON.* line 1, column"):
        parse(content)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("text", ['{"n": %s}', '{"n":%s}', '{"n": [1, 2,  %s, 3]}'])
def test_numbers_that_json_lacks(number: str, text: str) -> None:
    """NaN and the infinities, which some clients write, are refused by their names."""
    with pytest.raises(MalformedRequestError, match="NaN and Infinity"):
        parse((text % number).encode())


@pytest.mark.parametrize("content", [b"[]", b"1", b'"text"', b"null"])
def test_what_is_no_object(content: bytes) -> None:
    """JSON that is no object is refused."""
    with pytest.raises(MalformedRequestError, match="must be an object"):
        parse(content)


def test_bounds_on_values_and_containers() -> None:
    """As many values and lists as allowed are parsed, one more is refused with the bound."""
    assert parse(b'{"a": [1, 2, 3]}', 2, 2) == {"a": [1, 2, 3]}
    with pytest.raises(InvalidFieldError, match="more than 1 values"):
        parse(b'{"a": [1, 2, 3]}', 1, 2)
    with pytest.raises(InvalidFieldError, match="1 lists"):
        parse(b'{"a": [1, 2, 3]}', 2, 1)


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'{"":[]},', b"0,", b"["])
def test_small_bytes_that_take_large_memory(unit: bytes) -> None:
    """A megabyte of empty lists, which would take many, is refused before anything is built."""
    content = b'{"a": [' + unit * 300_000 + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidFieldError):
            parse(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000


def test_deep_nesting() -> None:
    """Lists nested deeper than the parser goes are refused as malformed."""
    with pytest.raises(MalformedRequestError):
        parse(b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", max_containers=10_000)


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=9)))
def test_objects_come_out_as_they_went_in(document: dict[str, object]) -> None:
    """What JSON says is what is returned."""
    assert parse(orjson.dumps(document), 1000, 1000) == document
