"""Parts of a form, as RFC 7578 frames them."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from app.codecs.multipart import parts
from app.errors import InvalidFieldError, MalformedRequestError, ServiceError

BOUNDARY = b"xyz"
HEAD = b'Content-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'


def form(*contents: bytes, head: bytes = HEAD) -> bytes:
    body = b"".join(b"--xyz\r\n" + head + content + b"\r\n" for content in contents)
    return body + b"--xyz--\r\n"


def split(content: bytes, max_parts: int = 10, boundary: bytes = BOUNDARY) -> list[bytes]:
    return parts(content, boundary, field="images", max_parts=max_parts)


CONTENTS = st.lists(
    st.binary(max_size=60) | st.sampled_from([b"", b"\r\n", b"\r\n--", b"--xyz", b"\n--xyz\n"]),
    max_size=5,
)


@given(CONTENTS)
def test_splits_what_a_client_sends(contents: list[bytes]) -> None:
    """What httpx encodes comes out as it went in."""
    files = [("images", (f"{index}.png", each)) for index, each in enumerate(contents)]
    request = httpx.Request("POST", "http://test", files=files or None)
    boundary = request.headers.get("content-type", "=none").partition("boundary=")[2].encode()

    found = split(request.read(), boundary=boundary) if files else split(b"--none--", 1, b"none")

    assert found == contents


@given(st.lists(st.sampled_from([b"\r\n", b"--", b"xyz", b"-", b"a", b"\r", b"\n"]), max_size=14))
def test_agrees_with_another_parser(pieces: list[bytes]) -> None:
    """Content full of near-boundaries is split as python-multipart splits it, or refused."""
    body = form(b"".join(pieces))
    expected: list[bytes] = []

    def more(data: bytes, start: int, end: int) -> None:
        expected[-1] += data[start:end]

    parser = MultipartParser(
        BOUNDARY, {"on_part_begin": lambda: expected.append(b""), "on_part_data": more}
    )
    try:
        parser.write(body)
    except MultipartParseError:
        with pytest.raises(ServiceError):
            split(body)
        return
    try:
        found = split(body)
    except ServiceError:
        # Stricter: a boundary inside a part that ends no part, and parts without headers.
        return
    assert found == expected


@pytest.mark.parametrize(
    "body",
    [
        b"a preamble\r\n" + form(b"one"),
        form(b"one") + b"an epilogue",
        form(b"one")[:-2],
        form(b"one").replace(b"--xyz\r\n", b"--xyz  \t\r\n"),
        form(b"one", head=b"content-disposition:form-data;name=images\r\n\r\n"),
        form(b"one", head=b"Content-Type: image/png\r\nX: y\r\n" + HEAD),
        form(b"one", head=b"Content-Transfer-Encoding: BINARY\r\n" + HEAD),
    ],
)
def test_takes_what_the_standard_allows(body: bytes) -> None:
    """Preamble, epilogue, padding, further headers and their spelling change nothing."""
    assert split(body) == [b"one"]


@given(st.text("ab.;=\\/: é", max_size=8), st.sampled_from(["images", "image", "a b", ""]))
def test_plain_headers_are_no_exception(filename: str, name: str) -> None:
    """Headers as most clients write them mean what they mean beside one more."""
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'.encode()

    assert _outcome(head + b"\r\n") == _outcome(head + b"X: y\r\n\r\n")


def _outcome(head: bytes) -> object:
    try:
        return split(form(b"one", head=head))
    except ServiceError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "does not contain the boundary"),
        (b"--other--", "does not contain the boundary"),
        (form(b"one")[:-9], "closing boundary"),
        (form(b"one")[:40], "headers"),
        (b"--xyz", "headers"),
        (b"--xyz\r\n", "headers"),
        (form(b"\r\n--xyz and more"), "headers"),
        (form(b"one", head=b"\r\n"), "broken or repeated"),
        (form(b"one", head=b"Content-Type: image/png\r\n\r\n"), "Content-Disposition"),
        (form(b"one", head=b"Content-Disposition: form-data\r\n\r\n"), "a name"),
        (form(b"one", head=b'Content-Disposition: attachment; name="images"\r\n\r\n'), "form-data"),
        (form(b"one", head=b"no colon\r\n" + HEAD), "broken or repeated"),
        (form(b"one", head=HEAD[:-2] + HEAD), "broken or repeated"),
        (form(b"one", head=b"X: " + b"y" * 5000 + b"\r\n" + HEAD), "4096 bytes"),
        (form(b"b25l", head=b"Content-Transfer-Encoding: base64\r\n" + HEAD), "as they are"),
    ],
)
def test_broken_framing(body: bytes, why: str) -> None:
    """Framing that is not the standard's is refused, and the error says where."""
    with pytest.raises(MalformedRequestError, match=why):
        split(body)


@pytest.mark.parametrize("boundary", [b"", b"x" * 71])
def test_bad_boundaries(boundary: bytes) -> None:
    """A boundary that is missing or longer than the standard allows is refused."""
    with pytest.raises(MalformedRequestError, match="boundary of 1 to 70"):
        split(form(b"one"), boundary=boundary)


def test_unknown_names() -> None:
    """A part of another name is refused, and the right name is told."""
    body = form(b"one", head=b'Content-Disposition: form-data; name="file"\r\n\r\n')
    with pytest.raises(InvalidFieldError, match=r"unknown part file.*images") as caught:
        split(body)
    assert caught.value.field == "file"


def test_too_many_parts() -> None:
    """The part after the last allowed one is refused, with the bound."""
    assert len(split(form(b"a", b"b"), max_parts=2)) == 2
    with pytest.raises(InvalidFieldError, match="at most 2") as caught:
        split(form(b"a", b"b", b"c"), max_parts=2)
    assert caught.value.limit == 2


def test_no_parts() -> None:
    """A form without parts is an empty list."""
    assert split(b"--xyz--\r\n") == []


@given(st.data())
def test_damaged_forms(data: st.DataObject) -> None:
    """A form changed and cut anywhere is split or refused, and its parts never grow."""
    content = bytearray(form(b"some bytes", b"\x89PNG\r\n\x1a\n", b""))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = split(damaged)
    except ServiceError:
        return
    assert sum(map(len, found)) <= len(damaged)
