"""Splits a complete multipart/form-data body (RFC 7578) in one pass."""

from __future__ import annotations

import re

from python_multipart.multipart import parse_options_header

from app.errors import InvalidFieldError, MalformedRequestError

_LONGEST_BOUNDARY = 70  # RFC 2046 §5.1.1
_LONGEST_HEADERS = 4096
# The usual notation, for which the full parser would give the same result.
_PLAIN_HEADERS = re.compile(
    rb"""Content-Disposition: form-data; name="([A-Za-z0-9_]+)"(?:; filename="[^"\\;\r\n]*")?"""
    rb"(?:\r\nContent-Type: [!-~]+)?"
)


def parts(content: bytes, boundary: bytes, *, field: str, max_parts: int) -> list[bytes]:
    """Returns the contents of the parts, which must all be named `field`.

    The time is linear in the body's size: each delimiter is searched once, and a boundary inside a
    part is an error that ends the search.

    Raises:
        MalformedRequestError: the boundary is missing or invalid, the body is cut off, or a part
            has broken headers.
        InvalidFieldError: a part has another name, or the body has more than `max_parts`.
    """
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        msg = f"multipart/form-data needs a boundary of 1 to {_LONGEST_BOUNDARY} characters"
        raise MalformedRequestError(msg, field="Content-Type")
    delimiter = b"\r\n--" + boundary
    found: list[bytes] = []
    position = _after_first(content, delimiter)
    while not content.startswith(b"--", position):
        if len(found) == max_parts:
            msg = f"a request may have at most {max_parts} parts named {field}"
            raise InvalidFieldError(msg, field=field, limit=max_parts)
        start = _after_headers(content, position, len(found), field)
        end = content.find(delimiter, start)
        if end < 0:
            msg = "the multipart body ends without its closing boundary"
            raise MalformedRequestError(msg, field="body")
        found.append(content[start:end])
        position = end + len(delimiter)
    return found


def _after_first(content: bytes, delimiter: bytes) -> int:
    if content.startswith(delimiter[2:]):
        return len(delimiter) - 2
    start = content.find(delimiter)
    if start < 0:
        msg = "the multipart body does not contain the boundary that Content-Type announces"
        raise MalformedRequestError(msg, field="body")
    return start + len(delimiter)


def _after_headers(content: bytes, position: int, index: int, field: str) -> int:
    """Checks the headers of the part whose boundary ends at `position`; where its content is."""
    end = content.find(b"\r\n\r\n", position, position + _LONGEST_HEADERS)
    line_end = content.find(b"\r\n", position, position + _LONGEST_HEADERS)
    if end < 0 or content[position:line_end].strip(b" \t"):
        msg = f"part {index} does not start with headers of at most {_LONGEST_HEADERS} bytes"
        raise MalformedRequestError(msg, field="body", index=index)
    plain = _PLAIN_HEADERS.fullmatch(content, line_end + 2, end)
    if plain and plain[1] == field.encode():
        return end + 4
    headers = _headers(content[line_end + 2 : end], index)
    disposition, parameters = parse_options_header(headers.get(b"content-disposition", b""))
    if disposition != b"form-data" or b"name" not in parameters:
        msg = f"part {index} needs the header Content-Disposition: form-data with a name"
        raise MalformedRequestError(msg, field="body", index=index)
    name = parameters[b"name"].decode("utf-8", "replace")
    if name != field:
        msg = (
            f"unknown part {name[:40]}; every part must be an image named {field}, and options "
            "are query parameters"
        )
        raise InvalidFieldError(msg, field=name[:40], index=index)
    encoding = headers.get(b"content-transfer-encoding", b"binary").lower()
    if encoding not in (b"binary", b"8bit", b"7bit"):
        msg = f"part {index} has a Content-Transfer-Encoding; send the bytes as they are"
        raise MalformedRequestError(msg, field="body", index=index)
    return end + 4


def _headers(block: bytes, index: int) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name.strip() or name.strip().lower() in headers:
            msg = f"part {index} has a broken or repeated header"
            raise MalformedRequestError(msg, field="body", index=index)
        headers[name.strip().lower()] = value.strip()
    return headers
