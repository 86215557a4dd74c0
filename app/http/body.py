"""A request's body: its media type, its bytes, and JSON parsed within bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from app.errors import (
    BodyTooLargeError,
    ClientDisconnectedError,
    InvalidFieldError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from app.http.headers import lines

_LONGEST_CONTENT_TYPE = 1024
# As most clients write it, and as parsing it in full would find it.
_PLAIN_FORM = re.compile(r"(multipart/form-data); ?boundary=([A-Za-z0-9'()+_,./:=?-]+)")


@dataclass(frozen=True, slots=True)
class Body:
    """What the client sent: `media_type` in lower case, empty when it named none."""

    content: bytes
    media_type: str
    boundary: bytes

    @property
    def is_json(self) -> bool:
        """Whether it is declared as JSON, `application/json` or `application/*+json`."""
        return self.media_type == "application/json" or (
            self.media_type.startswith("application/") and self.media_type.endswith("+json")
        )


async def read_body(request: Request, max_json_bytes: int) -> Body:
    """Reads the whole body; its headers are checked first.

    A JSON parser lets no other thread run until it has seen all of its document, so JSON has a
    limit of its own; a body without a type counts as JSON.

    Raises:
        UnsupportedMediaTypeError: it is compressed.
        MalformedRequestError: Content-Type is given twice, or is far too long.
        BodyTooLargeError: it is JSON of more than `max_json_bytes`, or above the limit for all.
        QueueFullError: the bodies of all requests together leave no room for it.
        ClientDisconnectedError: the client left before it had sent all of it.
    """
    for encoding in lines(request.scope, b"content-encoding"):
        if encoding.strip().lower() not in ("", "identity"):
            msg = f"Content-Encoding {encoding[:32]} is not taken; send the body uncompressed"
            raise UnsupportedMediaTypeError(msg, field="Content-Encoding")
    media_type, boundary = _content_type(request)
    for announced in lines(request.scope, b"content-length"):
        if announced.isdigit():
            _check_json(Body(b"", media_type, boundary), int(announced), max_json_bytes)
    content = await read_content(request)
    body = Body(content, media_type, boundary)
    _check_json(body, len(content), max_json_bytes)
    return body


async def read_content(request: Request) -> bytes:
    """The whole body, whatever it is.

    Raises:
        BodyTooLargeError: it is above the limit for all bodies.
        QueueFullError: the bodies of all requests together leave no room for it.
        ClientDisconnectedError: the client left before it had sent all of it.
    """
    # Starlette's passes each chunk through three generators.
    chunks: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            msg = "the client left before its body was complete"
            raise ClientDisconnectedError(msg)
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _check_json(body: Body, length: int, limit: int) -> None:
    if length > limit and (body.is_json or not body.media_type):
        msg = (
            f"a JSON body has at most {limit} bytes; send images as multipart/form-data and "
            "latents as application/x-npy, which may be longer"
        )
        raise BodyTooLargeError(msg, field="body", limit=limit)


def _content_type(request: Request) -> tuple[str, bytes]:
    values = lines(request.scope, b"content-type")
    if len(values) > 1:
        msg = f"Content-Type is given {len(values)} times; send it once"
        raise MalformedRequestError(msg, field="Content-Type")
    if not values:
        return "", b""
    if len(values[0]) > _LONGEST_CONTENT_TYPE:
        msg = f"Content-Type has more than {_LONGEST_CONTENT_TYPE} characters"
        raise MalformedRequestError(msg, field="Content-Type", limit=_LONGEST_CONTENT_TYPE)
    if ";" not in values[0]:
        return values[0].strip().lower(), b""
    plain = _PLAIN_FORM.fullmatch(values[0])
    if plain:
        return plain[1], plain[2].encode()
    media_type, parameters = parse_options_header(values[0])
    return media_type.decode("latin-1").strip(), parameters.get(b"boundary", b"")


def unsupported(body: Body, taken: tuple[str, ...]) -> UnsupportedMediaTypeError:
    """The error for a body of another type than the `taken` ones."""
    found = "the body has no Content-Type"
    if body.media_type:
        found = f"Content-Type {body.media_type[:64]} is not taken here"
    choice = taken[0] if len(taken) == 1 else f"one of {', '.join(taken)}"
    msg = f"{found}; send {choice}"
    return UnsupportedMediaTypeError(msg, field="Content-Type")


def parse_object(content: bytes, *, max_values: int, max_containers: int) -> dict[str, object]:
    """Parses a JSON object.

    An empty list is two bytes of JSON and 56 of memory, so both kinds of size are counted, by
    their commas and opening brackets, before anything is built.

    Args:
        content: the body.
        max_values: commas that it may hold.
        max_containers: opening brackets and braces that it may hold.

    Raises:
        MalformedRequestError: no JSON, or no object.
        InvalidFieldError: more values or lists than that.
    """
    commas = content.count(b",")
    containers = content.count(b"[") + content.count(b"{")
    if commas > max_values or containers > max_containers:
        msg = (
            f"the JSON body holds more than {max_values} values or {max_containers} lists and "
            "objects; send fewer"
        )
        raise InvalidFieldError(msg, field="body", limit=max_values)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(_explain(content, error), field="body") from None
    if not isinstance(document, dict):
        msg = "the JSON body must be an object, such as {}"
        raise MalformedRequestError(msg, field="body")
    return document


def _explain(content: bytes, error: orjson.JSONDecodeError) -> str:
    start = max(0, error.pos - 2)
    if any(word in content[start : error.pos + 12] for word in (b"NaN", b"Infinity")):
        return "NaN and Infinity are not JSON; every number must be finite"
    return f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
