"""Two ends and the options beside them, in every way that a client may send them."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.interpolate import InterpolateOptions, parse_endpoints
from app.api.verb import Sent
from app.codecs.npy import dump
from app.errors import (
    InvalidFieldError,
    InvalidImageError,
    MalformedRequestError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from app.http.body import read_body
from model.noise import MAX_SEED
from tests.app.asgi import post

NPY = {"content-type": "application/x-npy"}
ONE, TWO = base64.b64encode(b"one").decode(), base64.b64encode(b"two").decode()


async def read(request: Request) -> tuple[InterpolateOptions, Sent]:
    return parse_endpoints(request, await read_body(request, 1_000_000), (2,))


def files(*contents: bytes, name: str = "images") -> list[tuple[str, tuple[str, bytes]]]:
    return [(name, ("a.png", content)) for content in contents]


def test_two_images_come_as_files_or_in_json() -> None:
    """Both are the same two files, in their order; options stand in the query or beside them."""
    by_query, uploaded = post(
        read, "/?steps=5&bounce=true&path=linear", files=files(b"one", b"two")
    )
    body = {"images": [ONE, f"data:image/png;base64,{TWO}"], "steps": 5, "bounce": True}
    by_member, listed = post(read, json=body | {"path": "linear"})
    assert uploaded.images == listed.images == [b"one", b"two"]
    assert by_query == by_member == InterpolateOptions(steps=5, bounce=True, path="linear")
    assert (listed.latents, listed.seeds) == (None, None)


def test_two_latents_come_as_lists_or_as_a_file() -> None:
    """Both are the same float32 array, and the options hold their defaults."""
    both = np.array([[1, 2], [3, 4.5]], np.float32)
    for found in (
        post(read, json={"latents": both.tolist()}),
        post(read, content=dump(both), headers=NPY),
    ):
        options, ends = found
        assert ends.latents.dtype == np.float32
        assert ends.latents.tolist() == both.tolist()
        assert options == InterpolateOptions(steps=8, path="spherical", milliseconds=100)


def test_two_seeds_come_in_json() -> None:
    """Seeds from 0 to the largest are taken as they are."""
    _, ends = post(read, json={"seeds": [0, MAX_SEED], "steps": 2})
    assert ends == Sent(seeds=(0, MAX_SEED))


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({}, "body", "exactly one of images, latents, seeds; the request has none"),
        ({"json": {"steps": 3}}, "body", "the request has none"),
        ({"json": {"seeds": [1, 2], "images": [ONE, TWO]}}, "body", "got images and seeds"),
        ({"json": {"images": [ONE]}}, "images", "exactly two entries, got 1"),
        ({"json": {"images": [ONE, TWO, ONE]}}, "images", "at most 2"),
        ({"json": {"images": ONE}}, "images", "a list of images"),
        ({"json": {"images": [1, 2]}}, "images", "entry 0 is not a string"),
        ({"files": files(b"one")}, "images", "got 1"),
        ({"files": files(b"1", b"2", b"3")}, "images", "at most 2"),
        ({"files": files(b"1", b"2", name="picture")}, "picture", "unknown part"),
        ({"json": {"latents": [1, 2]}}, "latents", "exactly two entries, got 1"),
        ({"json": {"latents": [[1, 2]] * 3}}, "latents", "at most 2"),
        ({"json": {"latents": [[1, 2], [3]]}}, "latents", "row 1"),
        ({"content": dump(np.zeros((1, 2))), "headers": NPY}, "latents", "got 1"),
        ({"content": dump(np.zeros((2, 3))), "headers": NPY}, "latents", "shape"),
        ({"content": dump(np.array([[1, np.nan]] * 2)), "headers": NPY}, "latents", "finite"),
        ({"json": {"seeds": [1]}}, "seeds", "exactly two integers"),
        ({"json": {"seeds": [1, -1]}}, "seeds", "exactly two integers"),
        ({"json": {"seeds": [1, MAX_SEED + 1]}}, "seeds", "exactly two integers"),
        ({"json": {"seeds": [1, True]}}, "seeds", "exactly two integers"),
        ({"json": {"seeds": 7}}, "seeds", "exactly two integers"),
        ({"json": {"seeds": [1, 2], "steps": 1}}, "steps", "at least 2"),
        ({"json": {"seeds": [1, 2], "path": "curved"}}, "path", "one of"),
        ({"json": {"seeds": [1, 2], "milliseconds": 5}}, "milliseconds", "at least 20"),
        ({"json": {"seeds": [1, 2], "bounce": 1}}, "bounce", "true or false"),
        ({"json": {"seeds": [1, 2], "seed": 1}}, "seed", "unknown member"),
    ],
)
def test_what_is_no_pair_is_refused(options: dict[str, Any], field: str, words: str) -> None:
    """Each mistake is a field error that names it and says what would be right."""
    with pytest.raises(InvalidFieldError, match=words) as refused:
        post(read, **options)
    assert refused.value.field == field


def test_broken_bodies_are_refused() -> None:
    """Empty images, bad base64, options that come twice, and a single raw image."""
    with pytest.raises(InvalidImageError, match="image 1: it is empty"):
        post(read, files=files(b"one", b""))
    with pytest.raises(InvalidImageError, match="image 0: it is not valid base64"):
        post(read, json={"images": ["?", ONE]})
    with pytest.raises(MalformedRequestError, match="with a JSON body"):
        post(read, "/?steps=3", json={"seeds": [1, 2]})
    with pytest.raises(UnsupportedMediaTypeError, match="image/png is not supported"):
        post(read, content=b"x", headers={"content-type": "image/png"})
    with pytest.raises(InvalidFieldError, match="has more than"):
        post(read, json={"seeds": [[]] * 2000})


@settings(max_examples=100, deadline=None)
@given(
    members=st.dictionaries(
        st.sampled_from(["images", "latents", "seeds", "steps", "path", "bounce", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_whatever_json_comes_is_a_pair_or_an_error_of_the_service(members: dict[str, Any]) -> None:
    """No JSON raises anything else, and what is taken is exactly one pair."""
    content = json.dumps(members).encode()
    with contextlib.suppress(ServiceError):
        _, ends = post(read, content=content, headers={"content-type": "application/json"})
        given = [one for one in (ends.images or None, ends.latents, ends.seeds) if one is not None]
        assert [len(one) for one in given] == [2]
