"""What OpenAPI says of the protocol's routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from app.protocols.oip.requests import HEADER_LENGTH
from app.protocols.oip.tensors import DATATYPE

Document = dict[str, Any]

TAG = "Open Inference Protocol v2"

_MEANINGS = {
    400: "The request does not match the protocol or the model.",
    403: "The repository API is off.",
    404: "No such model or version.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The `Content-Encoding` is not supported.",
    429: "The queue is full; `Retry-After` says when to try again.",
    500: "The server or the graph failed.",
    501: "This part of the protocol is not implemented.",
    503: "The model does not serve now; `Retry-After` says when to try again.",
    504: "The response was not ready in time.",
}


def _object(*required: str, **properties: Document) -> Document:
    schema: Document = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


def _list(items: Document) -> Document:
    return {"type": "array", "items": items}


def _body(required: bool, **schemas: Document) -> Document:
    """A request's body; the schemas by the second part of their media types."""
    content = {
        f"application/{kind.replace('_', '-')}": {"schema": schema}
        for kind, schema in schemas.items()
    }
    return {"required": required, "content": content}


_STRING, _ANY_OBJECT = {"type": "string"}, {"type": "object"}
_TENSOR = _object(
    *("name", "shape", "datatype"),
    name=_STRING,
    shape=_list({"type": "integer"}),
    datatype={"const": DATATYPE},
    data=_list({"type": "number"}),
    parameters=_ANY_OBJECT,
)
_REQUEST = _object(
    "inputs",
    id=_STRING,
    parameters=_ANY_OBJECT,
    inputs=_list(_TENSOR) | {"minItems": 1, "maxItems": 1},
    outputs=_list(_object("name", name=_STRING, parameters=_ANY_OBJECT)),
)
_BINARY = {"format": "binary", "description": f"JSON of `{HEADER_LENGTH}` bytes, tensors."}

# The errors of a kind of routes, and the body that they take.
OF_MODELS = (404, 503), None
INFERENCE = (
    (400, 404, 408, 413, 415, 429, 500, 501, 503, 504),
    _body(True, json=_REQUEST, octet_stream=_STRING | _BINARY),
)
INDEX = (400, 408, 413), _body(False, json=_object(ready={"type": "boolean"}))
REPOSITORY = (
    (400, 403, 404, 408, 413, 501, 503),
    _body(False, json=_object(parameters=_ANY_OBJECT)),
)


def errors(statuses: Iterable[int]) -> dict[int | str, Document]:
    """OpenAPI responses for errors of the protocol."""
    content = {"application/json": {"schema": _object("error", error=_STRING)}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


def operation(path: str, body: Document | None = None) -> Document:
    """What FastAPI can't see of a route that takes the request as it is."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _STRING}
        for name in re.findall(r"{(\w+)}", path)
    ]
    return {"parameters": parameters} | ({"requestBody": body} if body else {})
