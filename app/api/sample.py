"""`POST /sample`: draws images from the prior, or around an image or a latent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from starlette.requests import Request

from app.api.openapi import BASE64, BINARY, example_images, example_latents, upload, with_members
from app.api.requests import (
    IMAGE_TYPES,
    MULTIPART,
    check_images,
    from_base64,
    members_of,
    parse_images,
    parse_options,
)
from app.api.responses import as_found, fit_header
from app.api.schemas import Answer, Latents, Options, Picture, Png, Seed, VerbAnswer
from app.api.verb import Call, Document, Members, Result, Sent, Takes, Verb
from app.codecs import latents
from app.errors import InvalidFieldError
from app.http.body import Body
from app.http.headers import JSON
from app.http.parameters import from_members
from app.inference.sampling import AroundImage, AroundLatent, FromPrior, SampleSource
from app.inference.windows import images_of, whole

NEAR = "latents_near"
_WHAT = ("image", "latent")
_DEFAULT_RADIUS = 1.0


class SampleOptions(Options):
    """What `/sample` draws."""

    n: int = Field(1, ge=1, description="Number of images, at most `VAE_MAX_N`.")
    seed: Seed | None = None
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Standard deviation of the latents; below 1 draws more typical images.",
    )
    radius: float | None = Field(
        None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="Distance around the uploaded image, in standard deviations of its posterior; "
        "1 by default. In a JSON body it belongs inside `latents_near`.",
    )
    height: int | None = Field(
        None,
        ge=1,
        description="Height of the images, for models of many sizes; by default the model's own.",
    )
    width: int | None = Field(None, ge=1, description="Width of the images, likewise.")


class NearAnswer(Answer):
    """Where the latents were drawn: z = center + radius · unit · ε with ε ~ N(0, I)."""

    center: list[float] = Field(
        description="The image's posterior mean, or the latent that was sent; nested like the "
        "model's latent shape."
    )
    radius: float
    unit: Literal["posterior", "prior"] = Field(
        description="Standard deviations of the image's posterior, or 1 around a latent."
    )
    picture: Picture | None = Field(description="Null for a latent.")


class SampleAnswer(VerbAnswer):
    """Images drawn from the prior. Sending the seed again gives the same images."""

    n: int
    seed: int
    temperature: float | None = Field(description="Null with `latents_near`.")
    images: list[Png]
    latents: Latents
    latents_near: NearAnswer | None = Field(
        description="The point that was drawn around; null for draws from the prior."
    )


def _content(options: type[SampleOptions]) -> Document:
    near = {
        "type": "object",
        "description": "Draw around this image or latent instead of from the prior.",
        "properties": {
            "image": BASE64,
            "latent": {"type": "array", "items": {"type": "number"}},
            "radius": options.model_json_schema()["properties"]["radius"],
        },
        "oneOf": [{"required": ["image"]}, {"required": ["latent"]}],
        "additionalProperties": False,
    }
    schema = with_members(options, {NEAR: near}, required=())
    # A JSON body has the radius inside `latents_near`.
    del schema["properties"]["radius"]
    raw = {media_type: {"schema": BINARY} for media_type in IMAGE_TYPES}
    return {JSON: {"schema": schema}, MULTIPART: {"schema": upload(1, 1)}} | raw


def parse_sample(
    request: Request, body: Body, shape: tuple[int, ...]
) -> tuple[SampleOptions, Sent]:
    """The options of `/sample`, and the image or latent to draw around.

    Without an image or latent, options are query parameters or the members of a JSON body. An
    image is the body itself or a multipart file named `images`, and `radius` a query parameter. In
    JSON it is `{"latents_near": {"image": "<base64>", "radius": r}}`, where `latent` may replace
    `image`.

    Raises:
        UnsupportedMediaTypeError: another Content-Type.
        MalformedRequestError: the framing is broken, or options came twice.
        InvalidFieldError: a bad option, latent or radius, several images, or options that cannot
            be combined.
        InvalidImageError: an empty image or bad base64.
    """
    if body.content and body.media_type in (MULTIPART, *IMAGE_TYPES):
        options, sent = parse_images(request, body, SampleOptions, 1)
    elif not body.content:
        options, sent = parse_options(request, body, SampleOptions), Sent()
    else:
        options, sent = _from_json(request, body, shape)
    _check_combination(options, near=bool(sent.images) or sent.latents is not None)
    return options, sent


def _from_json(request: Request, body: Body, shape: tuple[int, ...]) -> tuple[SampleOptions, Sent]:
    members = members_of(body, (JSON, MULTIPART, *IMAGE_TYPES), *latents.json_size(shape, 1))
    options = from_members(request, SampleOptions, members, other=NEAR)
    if NEAR not in members:
        return options, Sent()
    if "radius" in members:
        msg = f"radius must be a member of {NEAR}, not of the body"
        raise InvalidFieldError(msg, field="radius")
    near = _checked_near(members[NEAR])
    inner = {"radius": near["radius"]} if "radius" in near else {}
    options = from_members(request, SampleOptions, {**members, **inner}, other=NEAR)
    if "latent" in near:
        return options, Sent(latents=latents.from_lists(near["latent"], shape, 1))
    if not isinstance(near["image"], str):
        msg = f"image must be an image as a string in base64, got {type(near['image']).__name__}"
        raise InvalidFieldError(msg, field=NEAR)
    images = [from_base64(near["image"], 0)]
    check_images(images)
    return options, Sent(images=images)


def _checked_near(near: object) -> Members:
    if not isinstance(near, dict) or sum(what in near for what in _WHAT) != 1:
        msg = f"{NEAR} must be an object with exactly one of {' and '.join(_WHAT)}, and radius"
        raise InvalidFieldError(msg, field=NEAR)
    for name in near:
        if name not in (*_WHAT, "radius"):
            known = ", ".join(_WHAT)
            msg = f"unknown member {str(name)[:40]} of {NEAR}; known: {known}, radius"
            raise InvalidFieldError(msg, field=NEAR)
    return near


def _check_combination(options: SampleOptions, *, near: bool) -> None:
    if not near and options.radius is not None:
        msg = f"radius requires an image, or must be a member of {NEAR}"
        raise InvalidFieldError(msg, field="radius")
    if near and "temperature" in options.model_fields_set:
        msg = "temperature applies only to draws from the prior; send radius instead"
        raise InvalidFieldError(msg, field="temperature")
    for field, length in (("height", options.height), ("width", options.width)):
        if near and length is not None:
            msg = f"{field} applies only to draws from the prior; leave it out"
            raise InvalidFieldError(msg, field=field)


def source_of(call: Call[SampleOptions]) -> SampleSource:
    """Where to draw: the prior, an image or a latent."""
    options = call.options
    radius = _DEFAULT_RADIUS if options.radius is None else options.radius
    if call.images is not None:
        return AroundImage(call.images, radius)
    if call.latents is not None:
        return AroundLatent(call.latents[0], radius)
    return FromPrior(options.temperature, options.height, options.width)


async def run(call: Call[SampleOptions]) -> Result:
    """Draws the images."""
    n, options = call.options.n, call.options
    drawn = await call.service.sample(
        call.engine,
        call.permit,
        source_of(call),
        n=n,
        seed=options.seed,
        streamed=call.streamed,
    )
    near = drawn.center and {
        "center": drawn.center.latent,
        "radius": drawn.center.radius,
        "unit": drawn.center.unit,
        "picture": as_found(call.fitted)[0] if call.fitted else None,
    }
    members: Members = {
        "n": n,
        "seed": drawn.seed,
        "temperature": None if near else options.temperature,
        NEAR: near,
    }
    headers = fit_header(call.fitted) if call.fitted else {}
    if call.streamed:
        windows = images_of(drawn.windows)
        return Result(members, windows=windows, n=n, seed=drawn.seed, headers=headers)
    images, members["latents"] = await whole(drawn.windows)
    return Result(members, images=images, seed=drawn.seed, headers=headers)


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    drawn = {"images": example_images(), "latents": example_latents(shape), NEAR: None}
    return {"n": 4, "seed": 7}, {"n": 1, "seed": 7, "temperature": 1.0} | drawn


VERB = Verb(
    name="sample",
    summary="Draw images from the prior",
    about="draw images from the prior",
    description="Draws z from the model's prior, or around an image or latent, and decodes it.\n\n"
    "Row i depends only on the seed and i.",
    options=SampleOptions,
    takes=Takes(
        lambda request, body, _options, manifest, _settings: parse_sample(
            request, body, manifest.latent_axes
        ),
        _content,
        required=False,
    ),
    kind="images",
    answer=SampleAnswer,
    run=run,
    example=_example,
)
