"""Body → checked options and raw material: images as bytes, latents as an array.

Synchronous, and safe in any thread: long bodies are parsed beside the event loop.
"""

from __future__ import annotations

import binascii
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from app.api.openapi import BASE64, BINARY, LATENTS, upload, with_members
from app.api.verb import Document, Sent, Takes
from app.codecs import latents, npy
from app.codecs.multipart import parts
from app.errors import InvalidFieldError, InvalidImageError
from app.http.body import Body, parse_object, unsupported
from app.http.headers import JSON, NPY
from app.http.parameters import OptionsT, defaults, from_members, from_query

MULTIPART = "multipart/form-data"
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")

_IMAGES = "images"
# Room for the options beside the images or latents of a JSON body.
OPTION_VALUES = 256
# A multiple of four, so that each piece is base64 by itself; about a millisecond of decoding.
_BASE64_PIECE = 1024 * 1024


def _images_content(options: type[BaseModel]) -> Document:
    images = {"images": {"type": "array", "items": BASE64}}
    raw = {media_type: {"schema": BINARY} for media_type in IMAGE_TYPES}
    json_body = {"schema": with_members(options, images)}
    return {MULTIPART: {"schema": upload(1)}, JSON: json_body} | raw


def _latents_content(options: type[BaseModel]) -> Document:
    json_body = {"schema": with_members(options, {"latents": LATENTS})}
    return {JSON: json_body, NPY: {"schema": BINARY}}


def query_options(request: Request, model: type[OptionsT]) -> OptionsT:
    """The options in the query; errors as `from_query` raises."""
    return from_query(request, model) if request.scope["query_string"] else defaults(model)


def parse_options(request: Request, body: Body, model: type[OptionsT]) -> OptionsT:
    """The options of a verb that takes nothing else.

    They are the members of a JSON body, or query parameters when there is no body; without any
    the defaults hold. A body without Content-Type is taken as JSON.

    Raises:
        UnsupportedMediaTypeError, MalformedRequestError, InvalidFieldError: see
        `app.http.parameters`.
    """
    if not body.content:
        return query_options(request, model)
    return from_members(request, model, members_of(body, (JSON,)))


def parse_images(
    request: Request, body: Body, model: type[OptionsT], max_pictures: int
) -> tuple[OptionsT, Sent]:
    """The options, and 1 to `max_pictures` image files, not decoded yet.

    The body is multipart/form-data with parts named `images`, or one image as it is, and the
    options are query parameters; or it is JSON, `{"images": ["<base64 or data: URL>", …]}`, and
    the options are its further members.

    Raises:
        UnsupportedMediaTypeError: another Content-Type, or none.
        MalformedRequestError: the framing is broken, or options came twice.
        InvalidFieldError: no image, too many of them, or a bad option.
        InvalidImageError: an empty image or bad base64.
    """
    if body.is_json:
        # Base64 has no comma, a data: URL one.
        members = members_of(body, (), 2 * max_pictures)
        options = from_members(request, model, members, other=_IMAGES)
        images = encoded_images(members, max_pictures)
    elif body.media_type == MULTIPART:
        options = query_options(request, model)
        images = parts(body.content, body.boundary, field=_IMAGES, max_parts=max_pictures)
    elif body.media_type in IMAGE_TYPES:
        options = query_options(request, model)
        images = [body.content]
    else:
        raise unsupported(body, (MULTIPART, *IMAGE_TYPES, JSON))
    check_images(images)
    return options, Sent(images=images)


def parse_latents(
    request: Request, body: Body, model: type[OptionsT], shape: tuple[int, ...], max_n: int
) -> tuple[OptionsT, Sent]:
    """The options, and latents as float32 [n, *shape] with n from 1 to `max_n`, all finite.

    The body is JSON, `{"latents": [[…], …]}`, the options being its further members, or a `.npy`
    file of any float or integer type, the options being query parameters. A single latent without
    the batch axis is taken as n = 1. A body without Content-Type is taken as JSON.

    Raises:
        UnsupportedMediaTypeError: another Content-Type.
        MalformedRequestError: no JSON, no `.npy` file, or options came twice.
        InvalidFieldError: latents that are missing, of another shape, too many or not finite.
    """
    if body.media_type == NPY:
        options = query_options(request, model)
        array = npy.load(body.content, field=latents.FIELD)
        return options, Sent(latents=latents.from_array(array, shape, max_n))
    members = members_of(body, (JSON, NPY), *latents.json_size(shape, max_n))
    options = from_members(request, model, members, other=latents.FIELD)
    if latents.FIELD not in members:
        msg = f"{latents.FIELD} are missing; send them as a member of the JSON body"
        raise InvalidFieldError(msg, field=latents.FIELD)
    return options, Sent(latents=latents.from_lists(members[latents.FIELD], shape, max_n))


def members_of(
    body: Body, taken: tuple[str, ...], values: int = 0, lists: int = 0
) -> dict[str, object]:
    """The members of a JSON body; a body without Content-Type is taken as JSON.

    Beside the options, there may be so many values and lists.

    Raises:
        UnsupportedMediaTypeError: another Content-Type; the error names the `taken` ones.
        MalformedRequestError, InvalidFieldError: as `parse_object` raises.
    """
    if body.media_type and not body.is_json:
        raise unsupported(body, taken)
    return parse_object(
        body.content, max_values=values + OPTION_VALUES, max_containers=lists + OPTION_VALUES
    )


def encoded_images(members: dict[str, object], max_pictures: int) -> list[bytes]:
    """The files of the member `images`, base64 strings or data: URLs.

    Raises:
        InvalidFieldError: no list of strings, or more than `max_pictures`.
        InvalidImageError: bad base64.
    """
    encoded = members.get(_IMAGES)
    if not isinstance(encoded, list):
        raise InvalidFieldError(f"{_IMAGES} must be a list of images in base64", field=_IMAGES)
    if len(encoded) > max_pictures:
        msg = f"a request may have at most {max_pictures} images, got {len(encoded)}"
        raise InvalidFieldError(msg, field=_IMAGES, limit=max_pictures)
    return [_listed(text, index) for index, text in enumerate(encoded)]


def _listed(encoded: object, index: int) -> bytes:
    if not isinstance(encoded, str):
        msg = f"{_IMAGES} must be a list of strings in base64; entry {index} is not a string"
        raise InvalidFieldError(msg, field=_IMAGES, index=index)
    return from_base64(encoded, index)


def from_base64(encoded: str, index: int) -> bytes:
    """The file in a base64 string or data: URL.

    Raises:
        InvalidImageError: it is neither; `index` is the image's position.
    """
    text = encoded
    if encoded.startswith("data:"):
        head, comma, text = encoded.partition(",")
        if not comma or not head.endswith(";base64"):
            raise invalid_image(index, "a data: URL must be data:image/…;base64,…")
    try:
        # Wrapped lines, as MIME and many tools write them, are taken; nothing else is skipped.
        return _decode_base64("".join(text.split()))
    except ValueError:
        raise invalid_image(index, "it is not valid base64") from None


def _decode_base64(text: str) -> bytes:
    """Base64 without white space, in pieces: other threads run between them, not within."""
    last = max(0, len(text) - 1) // _BASE64_PIECE * _BASE64_PIECE
    if text.find("=", 0, last) >= 0:
        raise ValueError("padding before the end")
    starts = range(0, last + 1, _BASE64_PIECE)
    pieces = [text[start : start + _BASE64_PIECE] for start in starts]
    return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)


def check_images(images: list[bytes]) -> None:
    """Holds that there is an image, and none is empty; errors as `parse_images` raises."""
    if not images:
        msg = f"the request has no image; send at least one as {_IMAGES}"
        raise InvalidFieldError(msg, field=_IMAGES)
    for index, image in enumerate(images):
        if not image:
            raise invalid_image(index, "it is empty")


def invalid_image(index: int, why: str) -> InvalidImageError:
    return InvalidImageError(f"image {index}: {why}", field=_IMAGES, index=index)


TAKES_IMAGES: Takes[Any] = Takes(
    lambda request, body, options, _, settings: parse_images(
        request, body, options, settings.max_pictures
    ),
    _images_content,
)
"""A body of images: multipart, one raw file, or JSON with base64."""

TAKES_LATENTS: Takes[Any] = Takes(
    lambda request, body, options, manifest, settings: parse_latents(
        request, body, options, manifest.latent_axes, settings.max_n
    ),
    _latents_content,
    images=False,
)
"""A body of latents: JSON or `.npy`."""
