"""Body of `/interpolate` → its options and two ends: images as bytes, latents, or seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from app.api.requests import MULTIPART, OPTION_VALUES, check_images, encoded_images, members_of
from app.api.schemas import InterpolateOptions
from app.codecs import latents, npy
from app.codecs.multipart import parts
from app.errors import InvalidFieldError
from app.http.body import Body
from app.http.headers import JSON, NPY
from app.http.parameters import from_members, from_query
from model.noise import MAX_SEED
from model.pixels import Floats

KINDS = ("images", latents.FIELD, "seeds")


@dataclass(frozen=True, slots=True)
class Ends:
    """Two ends as they came; exactly one member is there."""

    images: list[bytes] | None = None
    latents: Floats | None = None
    """float32 [2, *latent_shape]"""
    seeds: tuple[int, int] | None = None


def parse_ends(
    request: Request, body: Body, shape: Sequence[int]
) -> tuple[InterpolateOptions, Ends]:
    """The options and the ends, images not decoded yet.

    The body is JSON with one of `images`, `latents` and `seeds`, the options being its further
    members; or multipart/form-data with two parts named `images`, or a `.npy` file
    [2, *latent_shape], the options being query parameters. A body without Content-Type is taken
    as JSON.

    Raises:
        UnsupportedMediaTypeError: another Content-Type.
        MalformedRequestError: the framing is broken, or options came twice.
        InvalidFieldError: none of the three or several, not two of them, or a bad option.
        InvalidImageError: an empty image or bad base64.
    """
    if body.media_type == MULTIPART:
        options = from_query(request, InterpolateOptions)
        images = parts(body.content, body.boundary, field="images", max_parts=2)
        return options, Ends(images=_both(images))
    if body.media_type == NPY:
        options = from_query(request, InterpolateOptions)
        array = npy.load(body.content, field=latents.FIELD)
        return options, Ends(latents=_two(latents.from_array(array, tuple(shape), 2)))
    if not body.content:
        raise _not_one("none came")
    values, lists = latents.json_size(tuple(shape), 2)
    members = members_of(
        body,
        (JSON, MULTIPART, NPY),
        max_values=values + OPTION_VALUES,
        max_containers=lists + OPTION_VALUES,
    )
    options = from_members(request, InterpolateOptions, members, other=KINDS)
    return options, _from_members(members, tuple(shape))


def _from_members(members: dict[str, object], shape: tuple[int, ...]) -> Ends:
    given = [kind for kind in KINDS if kind in members]
    if len(given) != 1:
        raise _not_one(f"got {' and '.join(given)}" if given else "none came")
    if given == ["images"]:
        return Ends(images=_both(encoded_images(members, 2)))
    if given == ["seeds"]:
        return Ends(seeds=_seeds(members["seeds"]))
    return Ends(latents=_two(latents.from_lists(members[latents.FIELD], shape, 2)))


def _not_one(found: str) -> InvalidFieldError:
    msg = f"an interpolation has two ends: send exactly one of {', '.join(KINDS)}; {found}"
    return InvalidFieldError(msg, field="body")


def _both(images: list[bytes]) -> list[bytes]:
    check_images(images)
    if len(images) != 2:
        msg = f"images must be exactly two, the ends, got {len(images)}"
        raise InvalidFieldError(msg, field="images", limit=2)
    return images


def _two(ends: Floats) -> Floats:
    if len(ends) != 2:
        msg = f"latents must be exactly two, the ends, got {len(ends)}"
        raise InvalidFieldError(msg, field=latents.FIELD, limit=2)
    return ends


def _seeds(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        first, last = value
        if all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in value):
            return first, last
    msg = f"seeds must be a list of exactly two integers from 0 to {MAX_SEED}"
    raise InvalidFieldError(msg, field="seeds")
