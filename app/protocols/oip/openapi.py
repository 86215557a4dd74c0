"""What OpenAPI says of the protocol's routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.protocols.oip.requests import HEADER_LENGTH
from app.protocols.oip.tensors import DATATYPE

Document = dict[str, Any]

TAG = "Open Inference Protocol v2"

_ERROR: Document = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_MEANINGS = {
    400: "The request is not what the model takes.",
    403: "The repository API is off.",
    404: "No such model or version.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "A `Content-Encoding` that is not served.",
    429: "The queue is full; `Retry-After` says when to try again.",
    500: "The server or the graph failed.",
    501: "A part of the protocol that is not served.",
    503: "It can't answer now; `Retry-After` says when to try again.",
    504: "The answer was not ready in time.",
}
OF_MODELS = (404, 503)
OF_INFERENCE = (400, 404, 408, 413, 415, 429, 500, 501, 503, 504)
OF_INDEX = (400, 408, 413)
OF_REPOSITORY = (400, 403, 404, 408, 413, 501, 503)

_PLAIN: Document = {"type": "object"}
_BINARY: Document = {"type": "string", "format": "binary"}


def errors(statuses: Iterable[int]) -> dict[int | str, Document]:
    """OpenAPI responses for errors of the protocol."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": _ERROR}},
        }
        for status in statuses
    }


def operation(path: str, body: Document | None = None) -> Document:
    """What FastAPI can't see of a route that takes the request as it is."""
    extra: Document = {"parameters": [_parameter(name) for name in _names(path)]}
    if body is not None:
        extra["requestBody"] = body
    return extra


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def json_body(**properties: Document) -> Document:
    """A JSON object that may be left out."""
    schema = {"type": "object", "properties": properties}
    return {"required": False, "content": {"application/json": {"schema": schema}}}


def infer_body() -> Document:
    """JSON, or JSON with the tensors behind it."""
    tensor: Document = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"const": DATATYPE},
            "data": {"type": "array", "items": {"type": "number"}},
            "parameters": _PLAIN,
        },
        "required": ["name", "shape", "datatype"],
    }
    wanted: Document = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parameters": _PLAIN},
        "required": ["name"],
    }
    schema: Document = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": _PLAIN,
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
            "outputs": {"type": "array", "items": wanted},
        },
        "required": ["inputs"],
    }
    binary = {"schema": _BINARY | {"description": f"JSON of `{HEADER_LENGTH}` bytes, tensors."}}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema}, "application/octet-stream": binary},
    }
