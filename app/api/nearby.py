"""Body of `/sample` → its options, and what to draw around, if anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from app.api.requests import (
    IMAGE_TYPES,
    MULTIPART,
    OPTION_VALUES,
    check_images,
    from_base64,
    members_of,
    parse_images,
    parse_options,
)
from app.api.schemas import SampleOptions
from app.codecs import latents
from app.errors import InvalidFieldError
from app.http.body import Body
from app.http.headers import JSON
from app.http.parameters import from_members
from model.pixels import Floats

FIELD = "latents_near"
_WHAT = ("image", "latent")
_DEFAULT_RADIUS = 1.0


@dataclass(frozen=True, slots=True)
class NearSent:
    """What to draw around, and how far: one of image and latent is there."""

    radius: float
    image: bytes | None = None
    latent: Floats | None = None
    """float32 [*latent_shape]"""


def parse_sample(
    request: Request, body: Body, shape: Sequence[int]
) -> tuple[SampleOptions, NearSent | None]:
    """The options of `/sample`, and what to draw around, an image not decoded yet.

    Without an image or latent they are query parameters or the members of a JSON body. An image
    comes as the body or as a multipart file named `images`, `radius` being a query parameter; or
    in JSON as `{"latents_near": {"image": "<base64>", "radius": r}}`, where a latent may take its
    place: `{"latents_near": {"latent": […], "radius": r}}`. A radius that is not given is 1.

    Raises:
        UnsupportedMediaTypeError: another Content-Type.
        MalformedRequestError: the framing is broken, or options came twice.
        InvalidFieldError: a bad option, latent or radius, several images, or options that have
            no meaning together.
        InvalidImageError: an empty image or bad base64.
    """
    near: NearSent | None = None
    if body.content and body.media_type in (MULTIPART, *IMAGE_TYPES):
        options, images = parse_images(request, body, SampleOptions, 1)
        near = NearSent(_radius(options), image=images[0])
    elif not body.content:
        options = parse_options(request, body, SampleOptions)
    else:
        options, near = _from_json(request, body, tuple(shape))
    _check_together(options, near)
    return options, near


def _from_json(
    request: Request, body: Body, shape: tuple[int, ...]
) -> tuple[SampleOptions, NearSent | None]:
    values, lists = latents.json_size(shape, 1)
    members = members_of(
        body,
        (JSON, MULTIPART, *IMAGE_TYPES),
        max_values=values + OPTION_VALUES,
        max_containers=lists + OPTION_VALUES,
    )
    options = from_members(request, SampleOptions, members, other=FIELD)
    if FIELD not in members:
        return options, None
    if "radius" in members:
        msg = f"radius stands beside {FIELD}; send it as a member of it"
        raise InvalidFieldError(msg, field="radius")
    return _around(request, members, shape)


def _around(
    request: Request, members: dict[str, object], shape: tuple[int, ...]
) -> tuple[SampleOptions, NearSent]:
    near = members[FIELD]
    given = [what for what in _WHAT if isinstance(near, dict) and what in near]
    if not isinstance(near, dict) or len(given) != 1:
        msg = f"{FIELD} must be an object with exactly one of {' and '.join(_WHAT)}, and radius"
        raise InvalidFieldError(msg, field=FIELD)
    for name in near:
        if name not in (*_WHAT, "radius"):
            msg = f"unknown member {str(name)[:40]} of {FIELD}; known: {', '.join(_WHAT)}, radius"
            raise InvalidFieldError(msg, field=FIELD)
    inner = {"radius": near["radius"]} if "radius" in near else {}
    options = from_members(request, SampleOptions, {**members, **inner}, other=FIELD)
    if given == ["latent"]:
        rows = latents.from_lists(near["latent"], shape, 1)
        return options, NearSent(_radius(options), latent=rows[0])
    if not isinstance(near["image"], str):
        msg = f"image must be an image as a string in base64, got {type(near['image']).__name__}"
        raise InvalidFieldError(msg, field=FIELD)
    image = from_base64(near["image"], 0)
    check_images([image])
    return options, NearSent(_radius(options), image=image)


def _radius(options: SampleOptions) -> float:
    return _DEFAULT_RADIUS if options.radius is None else options.radius


def _check_together(options: SampleOptions, near: NearSent | None) -> None:
    if near is None and options.radius is not None:
        msg = f"radius only has a meaning around an image, or inside {FIELD}"
        raise InvalidFieldError(msg, field="radius")
    if near is not None and "temperature" in options.model_fields_set:
        msg = "temperature is for draws from the prior; around an image or latent send radius"
        raise InvalidFieldError(msg, field="temperature")
