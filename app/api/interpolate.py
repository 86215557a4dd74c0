"""`POST /interpolate`: images between two images, latents or seeds."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from starlette.requests import Request

from app.api.openapi import (
    BASE64,
    BINARY,
    LATENTS,
    example_images,
    example_latents,
    upload,
    with_members,
)
from app.api.requests import (
    MULTIPART,
    check_images,
    encoded_images,
    members_of,
    parse_images,
    parse_latents,
)
from app.api.responses import as_found, fit_header
from app.api.schemas import Latents, Options, Picture, Png, VerbAnswer
from app.api.verb import Call, Document, Members, Result, Sent, Takes, Verb
from app.codecs import latents
from app.errors import InvalidFieldError
from app.http.body import Body
from app.http.headers import JSON, NPY
from app.http.parameters import from_members
from model.interpolation import Path
from model.noise import MAX_SEED
from model.pixels import Floats, Images

KINDS = ("images", latents.FIELD, "seeds")
"""What the two endpoints may be."""


class InterpolateOptions(Options):
    """Which way `/interpolate` goes, and how it shows it."""

    steps: int = Field(
        8, ge=2, description="Number of images including both endpoints, at most `VAE_MAX_N`."
    )
    path: Path = Field(
        "spherical",
        description="`spherical` turns the latent by equal angles while its norm changes evenly, "
        "so it stays where latents are likely; `linear` is the straight line.",
    )
    milliseconds: int = Field(
        100,
        ge=20,
        le=10_000,
        description="How long an animation shows each image; GIF rounds to hundredths of a second.",
    )
    bounce: bool = Field(
        False,
        description="Whether an animation also plays backwards, so that it repeats without a jump.",
    )


class InterpolateAnswer(VerbAnswer):
    """The images on the way from one latent to another, both ends included."""

    path: Path
    steps: int
    images: list[Png]
    latents: Latents
    seeds: list[int] | None = Field(description="The endpoints' seeds; null for other endpoints.")
    pictures: list[Picture] | None = Field(
        description="The endpoints' images; null for other endpoints."
    )


def _content(options: type[InterpolateOptions]) -> Document:
    kinds: Document = {
        "images": {"type": "array", "items": BASE64},
        "latents": LATENTS,
        "seeds": {"type": "array", "items": {"type": "integer"}},
    }
    two = {name: kind | {"minItems": 2, "maxItems": 2} for name, kind in kinds.items()}
    schema = with_members(options, two, required=())
    schema["oneOf"] = [{"required": [name]} for name in two]
    return {
        JSON: {"schema": schema},
        MULTIPART: {"schema": upload(2, 2)},
        NPY: {"schema": BINARY},
    }


def parse_endpoints(
    request: Request, body: Body, shape: tuple[int, ...]
) -> tuple[InterpolateOptions, Sent]:
    """The options and two endpoints.

    The body is JSON with one of `images`, `latents` and `seeds`, and the options as further
    members; or multipart/form-data with two parts named `images`; or a `.npy` file
    [2, *latent_shape]. Beside the latter two, options are query parameters. A body without
    Content-Type is read as JSON.

    Raises:
        UnsupportedMediaTypeError: another Content-Type.
        MalformedRequestError: the framing is broken, or options came twice.
        InvalidFieldError: not exactly one kind of endpoint, not two of them, or a bad option.
        InvalidImageError: an empty image or bad base64.
    """
    if body.media_type == MULTIPART:
        options, sent = parse_images(request, body, InterpolateOptions, 2)
    elif body.media_type == NPY:
        options, sent = parse_latents(request, body, InterpolateOptions, shape, 2)
    elif not body.content:
        raise _not_one_kind("the request has none")
    else:
        members = members_of(body, (JSON, MULTIPART, NPY), *latents.json_size(shape, 2))
        options = from_members(request, InterpolateOptions, members, other=KINDS)
        sent = _endpoints(members, shape)
    for field, ends in (("images", sent.images or None), (latents.FIELD, sent.latents)):
        if ends is not None and len(ends) != 2:
            msg = f"{field} must have exactly two entries, got {len(ends)}"
            raise InvalidFieldError(msg, field=field, limit=2)
    return options, sent


def _endpoints(members: Members, shape: tuple[int, ...]) -> Sent:
    given = [kind for kind in KINDS if kind in members]
    if len(given) != 1:
        raise _not_one_kind(f"got {' and '.join(given)}" if given else "the request has none")
    if given == ["seeds"]:
        return Sent(seeds=_two_seeds(members["seeds"]))
    if given == [latents.FIELD]:
        return Sent(latents=latents.from_lists(members[latents.FIELD], shape, 2))
    images = encoded_images(members, 2)
    check_images(images)
    return Sent(images=images)


def _not_one_kind(found: str) -> InvalidFieldError:
    msg = f"send two endpoints as exactly one of {', '.join(KINDS)}; {found}"
    return InvalidFieldError(msg, field="body")


def _two_seeds(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        first, last = value
        if all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in value):
            return first, last
    msg = f"seeds must be a list of exactly two integers from 0 to {MAX_SEED}"
    raise InvalidFieldError(msg, field="seeds")


async def run(call: Call[InterpolateOptions]) -> Result:
    """Decodes latents between the endpoints."""
    options = call.options
    images, walked = await call.service.interpolate(
        call.engine, call.permit, _arrays(call), steps=options.steps, path=options.path
    )
    return Result(
        {
            "path": options.path,
            "steps": options.steps,
            "latents": walked,
            "seeds": call.seeds,
            "pictures": as_found(call.fitted) if call.fitted else None,
        },
        images=images,
        headers=fit_header(call.fitted) if call.fitted else {},
        milliseconds=options.milliseconds,
        bounce=options.bounce,
    )


def _arrays(call: Call[InterpolateOptions]) -> Images | Floats:
    """The endpoints; a seed stands for its row 0, the first latent that `/sample` draws."""
    if call.images is not None:
        return call.images
    if call.seeds is not None:
        return call.engine.prior.draw(call.seeds, (0, 0), np.ones(2, np.float32))
    assert call.latents is not None  # noqa: S101 the body was parsed
    return call.latents


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    answer = {
        "path": "spherical",
        "steps": 2,
        "images": example_images() * 2,
        "latents": example_latents(shape) * 2,
        "seeds": [7, 8],
        "pictures": None,
    }
    return {"seeds": [7, 8], "steps": 4}, answer


VERB = Verb(
    name="interpolate",
    summary="Go from one image, latent or seed to another",
    about="images between two images, latents or seeds",
    description="Decodes latents between two endpoints: two images, latents or seeds.",
    options=InterpolateOptions,
    takes=Takes(
        lambda request, body, _options, manifest, _settings: parse_endpoints(
            request, body, manifest.latent_axes
        ),
        _content,
    ),
    kind="path",
    answer=InterpolateAnswer,
    run=run,
    example=_example,
)
