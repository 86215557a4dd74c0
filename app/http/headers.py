"""Reads a request's header fields and query, and chooses a response format from Accept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Scope

from app.errors import MalformedRequestError, NotAcceptableError

JSON = "application/json"
PNG = "image/png"
NPY = "application/x-npy"
ZIP = "application/zip"
GIF = "image/gif"
WEBP = "image/webp"

_LONGEST_CACHED = 512
# Commas and semicolons inside a quoted parameter are not separators.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
_PARAMETER = re.compile(r'(?:[^;"]|"(?:\\.|[^"\\])*"?)+')
_RANGE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUALITY = re.compile(r"0?\.[0-9]+|[01](?:\.[0-9]*)?")

_NO_QUERY = QueryParams()


def lines(scope: Scope, name: bytes) -> list[str]:
    """Returns each value of a header field; `name` is in lower case."""
    # Starlette's mapping decodes every header for each question.
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def first(scope: Scope, name: bytes) -> bytes:
    """Returns the first value of a header field, empty if it is missing; `name` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def single(scope: Scope, name: str) -> str | None:
    """Returns the value of a header field that may be sent once; None if it is missing.

    Raises:
        MalformedRequestError: it is given more than once.
    """
    values = lines(scope, name.lower().encode())
    if len(values) > 1:
        msg = f"{name} was sent {len(values)} times; send it once"
        raise MalformedRequestError(msg, field=name)
    return values[0] if values else None


def query_of(request: Request) -> QueryParams:
    """Returns the query parameters, without parsing an empty query."""
    return request.query_params if request.scope["query_string"] else _NO_QUERY


def accept_of(request: Request) -> str | None:
    """Returns the Accept header with its lines joined; None if it is missing."""
    found = lines(request.scope, b"accept")
    return ", ".join(found) if found else None


def choose(accept: str | None, offered: tuple[str, ...]) -> str:
    """Returns the offered media type that the client prefers.

    The most specific range that matches a type gives its quality, and 0 excludes it. Equal
    qualities and a missing header choose the type offered first. Parameters other than `q` and
    elements that are not media ranges are ignored.

    Args:
        accept: the Accept header's value, or None.
        offered: media types in the server's order of preference; at least one.

    Raises:
        NotAcceptableError: the header excludes every offered type.
    """
    if accept is None or accept == "*/*" or not accept.strip():
        return offered[0]
    prefer = _cached_preference if len(accept) <= _LONGEST_CACHED else _preference
    preferred = prefer(accept, offered)
    if preferred is None:
        msg = f"the Accept header excludes every response format: {', '.join(offered)}"
        raise NotAcceptableError(msg, field="Accept")
    return preferred


def _preference(accept: str, offered: tuple[str, ...]) -> str | None:
    parsed = (_parse_element(element) for element in _ELEMENT.findall(accept))
    ranges = [entry for entry in parsed if entry is not None]
    qualities = [_quality(media_type, ranges) for media_type in offered]
    best = max(qualities)
    return offered[qualities.index(best)] if best > 0 else None


_cached_preference = lru_cache(maxsize=256)(_preference)


def _parse_element(element: str) -> tuple[str, float] | None:
    first, *parameters = (part.strip() for part in _PARAMETER.findall(element) or [""])
    # Java's URLConnection sends a lone "*" for "*/*".
    media_range = "*/*" if first == "*" else first.lower()
    main, _, sub = media_range.partition("/")
    if not _RANGE.fullmatch(media_range) or (main == "*" and sub != "*"):
        return None
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            value = value.strip()
            return (media_range, min(1.0, float(value))) if _QUALITY.fullmatch(value) else None
    return media_range, 1.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    for wanted in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        matching = [quality for media_range, quality in ranges if media_range == wanted]
        if matching:
            return max(matching)
    return 0.0
