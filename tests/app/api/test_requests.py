"""Options, images and latents, in every way that a client may send them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.decode import DecodeOptions
from app.api.reconstruct import ReconstructOptions
from app.api.requests import parse_images, parse_latents, parse_options
from app.api.sample import SampleOptions
from app.codecs.npy import dump
from app.errors import (
    InvalidFieldError,
    InvalidImageError,
    MalformedRequestError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from app.http.body import read_body
from model.pixels import Floats
from tests.app.asgi import post

NPY = {"content-type": "application/x-npy"}
PNG = {"content-type": "image/png"}
SHAPE = (2,)
LIMIT = 8_000_000


async def sample(request: Request) -> SampleOptions:
    return parse_options(request, await read_body(request, LIMIT), SampleOptions)


async def reconstruct(request: Request) -> tuple[ReconstructOptions, Sequence[bytes]]:
    body = await read_body(request, LIMIT)
    options, sent = parse_images(request, body, ReconstructOptions, 3)
    return options, sent.images


async def decode(request: Request) -> tuple[DecodeOptions, Floats]:
    body = await read_body(request, LIMIT)
    options, sent = parse_latents(request, body, DecodeOptions, SHAPE, 3)
    assert sent.latents is not None
    return options, sent.latents


def files(*contents: bytes, name: str = "images") -> list[tuple[str, tuple[str, bytes]]]:
    return [(name, (f"{index}.png", content)) for index, content in enumerate(contents)]


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("/", {}),
        ("/", {"headers": {"content-type": "application/json"}}),
        ("/", {"content": b"{}"}),
        ("/?model=mnist", {}),
    ],
)
def test_no_options_are_the_defaults(url: str, options: dict[str, Any]) -> None:
    """An absent or empty body, with or without a type, means every default."""
    assert post(sample, url, **options) == SampleOptions()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("/", {"json": {"n": 3, "seed": 7}}),
        ("/?model=mnist", {"json": {"n": 3, "seed": 7}}),
        ("/", {"content": b'{"n": 3, "seed": 7}'}),
        ("/", {"content": b'{"n":3,"seed":7}', "headers": {"content-type": "application/x+json"}}),
        ("/?n=3&seed=7", {}),
    ],
)
def test_options_of_sample(url: str, options: dict[str, Any]) -> None:
    """Members of a JSON body, of either JSON type or none, or query parameters without a body."""
    assert post(sample, url, **options) == SampleOptions(n=3, seed=7)


@pytest.mark.parametrize(
    ("url", "options", "error", "why"),
    [
        ("/?n=3", {"json": {"n": 3}}, MalformedRequestError, "member of the body"),
        ("/", {"json": [1]}, MalformedRequestError, "must be an object"),
        ("/", {"content": b"n=3"}, MalformedRequestError, "not JSON"),
        ("/", {"data": {"n": "3"}}, UnsupportedMediaTypeError, "send application/json"),
        ("/", {"json": {"n": 0}}, InvalidFieldError, "at least 1"),
        ("/", {"json": {"number": 1}}, InvalidFieldError, "unknown member number"),
        ("/?number=1", {}, InvalidFieldError, "unknown query parameter number"),
        ("/", {"content": b"[" * 1000}, InvalidFieldError, "256 lists"),
    ],
)
def test_bad_options_of_sample(
    url: str, options: dict[str, Any], error: type[ServiceError], why: str
) -> None:
    """Options in two places, no JSON, another type, and bad values are told apart."""
    with pytest.raises(error, match=why):
        post(sample, url, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"files": files(b"one", b"two")},
        {"json": {"images": [base64_of(b"one"), base64_of(b"two")]}},
        {"json": {"images": [f"data:image/png;base64,{base64_of(b'one')}", " dHdv\n"]}},
    ],
)
def test_several_images(options: dict[str, Any]) -> None:
    """Multipart files, base64 and data: URLs come out as the bytes that they carry, in order."""
    assert post(reconstruct, **options) == (ReconstructOptions(), [b"one", b"two"])


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp"])
def test_one_image_as_it_is(kind: str) -> None:
    """The body may be the image itself."""
    _, images = post(reconstruct, content=b"one", headers={"content-type": kind})

    assert images == [b"one"]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("/?elbo_samples=5&model=m", {"files": files(b"one")}),
        ("/?elbo_samples=5&model=m", {"content": b"one", "headers": PNG}),
        ("/?model=m", {"json": {"images": ["b25l"], "elbo_samples": 5}}),
    ],
)
def test_options_beside_images(url: str, options: dict[str, Any]) -> None:
    """Query parameters beside a raw or multipart body, further members of a JSON one."""
    assert post(reconstruct, url, **options) == (ReconstructOptions(elbo_samples=5), [b"one"])


def wrapped(content: bytes, **headers: str) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": "multipart/form-data", **headers}}


@pytest.mark.parametrize(
    ("url", "options", "error", "why"),
    [
        ("/?seed=1", {"json": {"images": ["b25l"]}}, MalformedRequestError, "member of the body"),
        ("/", {"json": {}}, InvalidFieldError, "images must be a list"),
        ("/", {"json": {"images": "b25l"}}, InvalidFieldError, "images must be a list"),
        ("/", {"json": {"images": []}}, InvalidFieldError, "at least one"),
        ("/", {"json": {"images": ["b25l"] * 4}}, InvalidFieldError, "at most 3"),
        ("/", {"json": {"images": ["b25l", 5]}}, InvalidFieldError, "entry 1 is not a string"),
        (
            "/",
            {"json": {"image": "b25l"}},
            InvalidFieldError,
            "unknown member image; send only images",
        ),
        ("/", {"json": {"images": ["b25l", "?"]}}, InvalidImageError, "image 1.*base64"),
        ("/", {"json": {"images": ["b25"]}}, InvalidImageError, "image 0.*base64"),
        ("/", {"json": {"images": ["b25l\u00e9"]}}, InvalidImageError, "image 0.*base64"),
        ("/", {"json": {"images": ["b25l", ""]}}, InvalidImageError, "image 1.*empty"),
        ("/", {"json": {"images": ["data:image/png,a"]}}, InvalidImageError, "data: URL"),
        ("/", {"json": {"images": ["data:;base64"]}}, InvalidImageError, "data: URL"),
        ("/", {"json": {"images": [["b25l"] * 300]}}, InvalidFieldError, "more than"),
        ("/", {"files": files(b"1", b"2", b"3", b"4")}, InvalidFieldError, "at most 3"),
        ("/", {"files": files(b"1", name="file")}, InvalidFieldError, "unknown part file"),
        ("/", {"files": files(b"1", b"")}, InvalidImageError, "image 1.*empty"),
        ("/", wrapped(b"--a--"), MalformedRequestError, "boundary"),
        ("/?size=1", {"files": files(b"1")}, InvalidFieldError, "unknown query parameter size"),
        ("/?seed=-1", {"content": b"1", "headers": PNG}, InvalidFieldError, "at least 0"),
        ("/", {"content": b"", "headers": PNG}, InvalidImageError, "image 0.*empty"),
        ("/", {"content": b"1"}, UnsupportedMediaTypeError, "no Content-Type.*image/webp"),
        ("/", {"data": {"a": "b"}}, UnsupportedMediaTypeError, "multipart/form-data, image/png"),
        ("/", {}, UnsupportedMediaTypeError, "no Content-Type"),
    ],
)
def test_bad_images(url: str, options: dict[str, Any], error: type[ServiceError], why: str) -> None:
    """Every way to send none, too many, or something else has its own error."""
    with pytest.raises(error, match=why):
        post(reconstruct, url, **options)


@pytest.mark.parametrize("length", [786_431, 786_432, 786_433, 1_572_864, 2_000_000])
def test_long_base64_is_what_was_sent(length: int) -> None:
    """Base64 is decoded in pieces, and where they meet no byte is lost or changed."""
    content = bytes(range(256)) * (length // 256 + 1)

    _, images = post(reconstruct, json={"images": [base64_of(content[:length])]})

    assert images == [content[:length]]


@pytest.mark.parametrize("position", [1_048_573, 1_048_575, 1_048_576, 1_100_000])
def test_padding_within_long_base64_is_refused(position: int) -> None:
    """Padding is only for the end, wherever the pieces meet."""
    text = base64_of(bytes(1_000_000))
    text = text[:position] + "=" + text[position + 1 :]
    with pytest.raises(InvalidImageError, match=r"image 0.*base64"):
        post(reconstruct, json={"images": [text]})


def test_a_form_without_parts() -> None:
    """A well-formed form with nothing in it has no image."""
    headers = {"content-type": "multipart/form-data; boundary=a"}
    with pytest.raises(InvalidFieldError, match="at least one"):
        post(reconstruct, content=b"--a--\r\n", headers=headers)


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"latents": [[1, 2], [3, 4.5]]}},
        {"content": b'{"latents": [[1, 2], [3, 4.5]]}'},
        {"content": dump(np.array([[1, 2], [3, 4.5]])), "headers": NPY},
        {"content": dump(np.array([[1, 2], [3, 4.5]], ">f2")), "headers": NPY},
    ],
)
def test_latents(options: dict[str, Any]) -> None:
    """JSON and .npy of any type carry the same float32 latents."""
    _, latents = post(decode, "/?model=m", **options)

    assert latents.tolist() == [[1.0, 2.0], [3.0, 4.5]]
    assert latents.dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [{"json": {"latents": [1, 2]}}, {"content": dump(np.array([1, 2])), "headers": NPY}],
)
def test_one_latent(options: dict[str, Any]) -> None:
    """A latent without the batch axis is a batch of one."""
    assert post(decode, **options)[1].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("url", "options", "error", "why"),
    [
        ("/", {}, MalformedRequestError, "not JSON"),
        ("/", {"json": {}}, InvalidFieldError, "latents are missing"),
        ("/", {"json": {"latents": [[1]]}}, InvalidFieldError, r"shape \[n, 2\]"),
        ("/", {"json": {"latent": [[1, 2]]}}, InvalidFieldError, "unknown member latent"),
        ("/", {"json": {"latents": [[1, 2]] * 4}}, InvalidFieldError, "at most 3"),
        ("/", {"json": {"latents": [[1, 2]] * 4000}}, InvalidFieldError, "send fewer"),
        ("/", {"content": b'{"latents": [[NaN, 1]]}'}, MalformedRequestError, "NaN"),
        ("/", {"content": b'{"latents": [[1e400, 1]]}'}, MalformedRequestError, "infinity"),
        ("/", {"content": dump(np.array([np.nan, 1])), "headers": NPY}, InvalidFieldError, "row 0"),
        ("/", {"content": dump(np.zeros((2, 3))), "headers": NPY}, InvalidFieldError, "shape"),
        ("/", {"content": b"text", "headers": NPY}, MalformedRequestError, "npy"),
        ("/?n=1", {"content": dump(np.zeros(2)), "headers": NPY}, InvalidFieldError, "parameter n"),
        ("/?n=1", {"json": {"latents": [[1, 2]]}}, MalformedRequestError, "member of the body"),
        ("/", {"content": b"x", "headers": PNG}, UnsupportedMediaTypeError, "x-npy"),
    ],
)
def test_bad_latents(
    url: str, options: dict[str, Any], error: type[ServiceError], why: str
) -> None:
    """No latents, other shapes, too many, not finite, or another type: each its own error."""
    with pytest.raises(error, match=why):
        post(decode, url, **options)


BODIES = st.sampled_from(
    [
        httpx.Request("POST", "http://test", files=files(b"one", b"two")),
        httpx.Request("POST", "http://test", json={"images": ["b25l"], "seed": 5}),
        httpx.Request("POST", "http://test", json={"latents": [[1, 2.5]]}),
        httpx.Request("POST", "http://test", json={"n": 2, "temperature": 0.5}),
        httpx.Request("POST", "http://test", content=dump(np.zeros((1, 2))), headers=NPY),
    ]
)


@given(BODIES, st.sampled_from([sample, reconstruct, decode]), st.data())
@settings(max_examples=150)
def test_damaged_requests(original: httpx.Request, reader: Any, data: st.DataObject) -> None:
    """A body changed anywhere, sent to any verb, is read or refused by the service's errors."""
    content = bytearray(original.read())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    headers = {"content-type": original.headers["content-type"]}
    with contextlib.suppress(ServiceError):
        assert post(reader, content=bytes(content), headers=headers) is not None
