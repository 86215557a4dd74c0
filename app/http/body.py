"""Reads a request's body and media type, and parses JSON within limits."""

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
from app.http.headers import lines, single

_LONGEST_CONTENT_TYPE = 1024
# The usual notation, for which the full parser would give the same result.
_PLAIN_FORM = re.compile(r"(multipart/form-data); ?boundary=([A-Za-z0-9'()+_,./:=?-]+)")


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body; `media_type` is in lower case, and empty without a Content-Type."""

    content: bytes
    media_type: str
    boundary: bytes

    @property
    def is_json(self) -> bool:
        """True for `application/json` and `application/*+json`."""
        return self.media_type == "application/json" or (
            self.media_type.startswith("application/") and self.media_type.endswith("+json")
        )


async def read_body(request: Request, max_json_bytes: int) -> Body:
    """Checks the headers and reads the whole body.

    JSON has a lower limit than other bodies, because its parser blocks all other threads. A body
    without a Content-Type counts as JSON.

    Raises:
        UnsupportedMediaTypeError: the body is compressed.
        MalformedRequestError: Content-Type is given twice or is too long.
        BodyTooLargeError: it is JSON above `max_json_bytes`, or above the limit for all bodies.
        QueueFullError: all request bodies together would exceed their limit.
        ClientDisconnectedError: the client left before it had sent the whole body.
    """
    for encoding in lines(request.scope, b"content-encoding"):
        if encoding.strip().lower() not in ("", "identity"):
            msg = f"Content-Encoding {encoding[:32]} is not supported; send the body uncompressed"
            raise UnsupportedMediaTypeError(msg, field="Content-Encoding")
    media_type, boundary = _content_type(request)
    for announced in lines(request.scope, b"content-length"):
        if announced.isdecimal():
            _check_json(Body(b"", media_type, boundary), int(announced), max_json_bytes)
    content = await read_content(request)
    body = Body(content, media_type, boundary)
    _check_json(body, len(content), max_json_bytes)
    return body


async def read_content(request: Request) -> bytes:
    """Reads the whole body of any type.

    Raises:
        BodyTooLargeError: it is above the limit for all bodies.
        QueueFullError: all request bodies together would exceed their limit.
        ClientDisconnectedError: the client left before it had sent the whole body.
    """
    # Request.body() would pass each chunk through three generators.
    chunks: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError("the client left before its body was complete")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _check_json(body: Body, length: int, limit: int) -> None:
    if length > limit and (body.is_json or not body.media_type):
        msg = (
            f"a JSON body may have at most {limit} bytes; send larger images as "
            "multipart/form-data and larger latents as application/x-npy"
        )
        raise BodyTooLargeError(msg, field="body", limit=limit)


def _content_type(request: Request) -> tuple[str, bytes]:
    value = single(request.scope, "Content-Type")
    if value is None:
        return "", b""
    if len(value) > _LONGEST_CONTENT_TYPE:
        msg = f"Content-Type must have at most {_LONGEST_CONTENT_TYPE} characters"
        raise MalformedRequestError(msg, field="Content-Type", limit=_LONGEST_CONTENT_TYPE)
    if ";" not in value:
        return value.strip().lower(), b""
    plain = _PLAIN_FORM.fullmatch(value)
    if plain:
        return plain[1], plain[2].encode()
    media_type, parameters = parse_options_header(value)
    return media_type.decode("latin-1").strip(), parameters.get(b"boundary", b"")


def unsupported(body: Body, taken: tuple[str, ...]) -> UnsupportedMediaTypeError:
    """Returns the error for a body whose type is not one of `taken`."""
    found = "the body has no Content-Type"
    if body.media_type:
        found = f"Content-Type {body.media_type[:64]} is not supported here"
    choice = taken[0] if len(taken) == 1 else f"one of {', '.join(taken)}"
    return UnsupportedMediaTypeError(f"{found}; send {choice}", field="Content-Type")


def parse_object(content: bytes, *, max_values: int, max_containers: int) -> dict[str, object]:
    """Parses a JSON object.

    An empty list takes 2 bytes of JSON but 56 bytes of memory. Commas and opening brackets are
    therefore counted before the parser builds anything.

    Args:
        content: the body.
        max_values: the limit of commas.
        max_containers: the limit of opening brackets and braces.

    Raises:
        MalformedRequestError: the body is not JSON, or not an object.
        InvalidFieldError: it exceeds a limit.
    """
    commas = content.count(b",")
    containers = content.count(b"[") + content.count(b"{")
    if commas > max_values or containers > max_containers:
        msg = (
            f"the JSON body has more than {max_values} values or {max_containers} lists and "
            "objects; send fewer"
        )
        raise InvalidFieldError(msg, field="body", limit=max_values)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(_explain(content, error), field="body") from None
    if not isinstance(document, dict):
        raise MalformedRequestError("the JSON body must be an object, such as {}", field="body")
    return document


def _explain(content: bytes, error: orjson.JSONDecodeError) -> str:
    start = max(0, error.pos - 2)
    if any(word in content[start : error.pos + 12] for word in (b"NaN", b"Infinity")):
        return "NaN and Infinity are not JSON; every number must be finite"
    return f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
