"""What OpenAPI says of the Remote VAE routes: their parameters, bodies and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from app.api import openapi
from app.protocols.remote_vae.query import DTYPES

Document = dict[str, Any]

_SCHEMA = ("type", "enum", "items", "maxItems", "minimum")
"""The members of a property that belong to its schema."""

_BINARY: Document = {"schema": {"type": "string", "format": "binary"}}
_HEADERS: Document = {
    "shape": {"description": "JSON list of the tensor's axes.", "schema": {"type": "string"}},
    "dtype": {
        "description": "The tensor's type, as torch calls it.",
        "schema": {"type": "string", "enum": list(DTYPES)},
    },
}
_TARGET: dict[str, Document] = {
    "model": {
        "description": "The bundle; by default the default model if its latents are maps, else the "
        "only such model.",
        "type": "string",
    },
    "version": {
        "description": "Which of its versions; the highest that serves when not given.",
        "type": "integer",
        "minimum": 1,
    },
}


def operation(query: type[BaseModel], media_types: Iterable[str]) -> Document:
    """The parameters of a route, and the media types of its body."""
    schema = query.model_json_schema()
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": found["description"],
            "schema": {key: found[key] for key in _SCHEMA if key in found},
        }
        for name, found in (_TARGET | schema["properties"]).items()
    ]
    body = {"required": True, "content": dict.fromkeys(media_types, _BINARY)}
    return {"parameters": parameters, "requestBody": body}


def responses(formats: Sequence[str], codes: Iterable[str]) -> dict[int | str, Document]:
    """The answer in its formats, and every error."""
    success: Document = {
        "description": "A bare tensor, its shape and type in headers, or an image file.",
        "content": dict.fromkeys(formats, _BINARY),
        "headers": _HEADERS,
    }
    return {200: success, **openapi.errors(codes)}
