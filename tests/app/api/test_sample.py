"""What `/sample` draws around, in every way that a client may send it."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.sample import SampleOptions, parse_sample
from app.api.verb import Sent
from app.errors import (
    InvalidFieldError,
    InvalidImageError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from app.http.body import read_body
from tests.app.asgi import post

PNG = {"content-type": "image/png"}
ONE = base64.b64encode(b"one").decode()


async def read(request: Request) -> tuple[SampleOptions, Sent]:
    return parse_sample(request, await read_body(request, 1_000_000), (2,))


def near(**members: Any) -> dict[str, Any]:
    return {"json": {"latents_near": members}}


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"n": 1}}])
def test_without_it_the_prior_is_drawn_from(options: dict[str, Any]) -> None:
    """No body, an empty object or plain options: nothing to draw around."""
    assert post(read, **options) == (SampleOptions(), Sent())


def test_a_image_comes_in_every_way() -> None:
    """As a file, as the body and in JSON it is the same image with the same radius."""
    by_file = post(read, "/?n=3&radius=2", files=[("images", ("a.png", b"one"))])
    by_body = post(read, "/?n=3&radius=2", content=b"one", headers=PNG)
    by_json = post(read, json={"n": 3, "latents_near": {"image": ONE, "radius": 2}})
    expected = SampleOptions(n=3, radius=2), Sent(images=[b"one"])
    assert by_file == by_body == by_json == expected


def test_a_latent_comes_in_json() -> None:
    """Its shape is the model's, with the batch axis or without."""
    for sent in ([1, 2], [[1, 2]]):
        options, found = post(read, **near(latent=sent, radius=0.5))
        assert found.latents.tolist() == [[1, 2]]
        assert (options.radius, found.images) == (0.5, ())


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        (near(), "latents_near", "exactly one of image and latent"),
        (near(radius=1), "latents_near", "exactly one of image and latent"),
        (near(image=ONE, latent=[1, 2]), "latents_near", "exactly one of image and latent"),
        ({"json": {"latents_near": [1, 2]}}, "latents_near", "must be an object"),
        ({"json": {"latents_near": None}}, "latents_near", "must be an object"),
        (near(image=ONE, size=2), "latents_near", "unknown member size"),
        (near(image=[ONE]), "latents_near", "a string in base64, got list"),
        (near(latent=[1, 2, 3]), "latents", "list of 2"),
        (near(latent=[[1, 2], [3, 4]]), "latents", "at most 1"),
        (near(latent=[1, 2], radius=-1), "radius", "at least 0"),
        (near(latent=[1, 2], radius=101), "radius", "at most 100"),
        (near(latent=[1, 2], radius="1"), "radius", "a number"),
        (
            {"json": {"latents_near": {"latent": [1, 2]}, "radius": 1}},
            "radius",
            "a member of latents_near",
        ),
        ({"json": {"radius": 1}}, "radius", "radius requires an image"),
        ({"url": "/?radius=1"}, "radius", "radius requires an image"),
        (
            {"json": {"latents_near": {"latent": [1, 2]}, "temperature": 1}},
            "temperature",
            "send radius",
        ),
        ({"url": "/?temperature=1", "content": b"1", "headers": PNG}, "temperature", "send radius"),
        ({"files": [("images", ("a", b"1"))] * 2}, "images", "at most 1"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], field: str, words: str) -> None:
    """Each mistake is a field error that names it and says what would be right."""
    with pytest.raises(InvalidFieldError, match=words) as refused:
        post(read, **options)
    assert refused.value.field == field


def test_bad_images_are_refused() -> None:
    """Bad base64 and an empty image, and a body of another type."""
    with pytest.raises(InvalidImageError, match="not valid base64"):
        post(read, **near(image="?"))
    with pytest.raises(InvalidImageError, match="it is empty"):
        post(read, **near(image=""))
    with pytest.raises(UnsupportedMediaTypeError, match="text/plain is not supported"):
        post(read, content=b"x", headers={"content-type": "text/plain"})


@settings(max_examples=100, deadline=None)
@given(
    near=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["image", "latent", "radius", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_json_comes_is_taken_or_an_error_of_the_service(near: Any) -> None:
    """No JSON raises anything else, and what is taken has a radius within its bounds."""
    content = json.dumps({"latents_near": near}).encode()
    with contextlib.suppress(ServiceError):
        options, found = post(read, content=content, headers={"content-type": "application/json"})
        assert options.radius is None or 0 <= options.radius <= 100
        assert bool(found.images) != (found.latents is not None)
