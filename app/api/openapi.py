"""What OpenAPI says of the verbs beyond what FastAPI can see: bodies, formats and errors."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.api import examples
from app.api.requests import IMAGE_TYPES, MULTIPART
from app.api.schemas import InterpolateOptions, Options, ProblemAnswer, SampleOptions
from app.http.headers import JSON, NPY
from app.http.problems import MEDIA_TYPE, STATUS, title

Document = dict[str, Any]

VERB_ERRORS = (
    "malformed_request",
    "unknown_model",
    "unknown_version",
    "not_acceptable",
    "body_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_field",
    "request_too_large",
    "queue_full",
    "internal",
    "engine_failed",
    "model_unavailable",
    "shutting_down",
    "deadline_exceeded",
)
IMAGE_ERRORS: tuple[str, ...] = (*VERB_ERRORS, "invalid_picture", "picture_too_large")

_TARGET_PARAMETERS: tuple[Document, ...] = (
    {
        "name": "model",
        "in": "query",
        "required": False,
        "description": "Which model answers; the default model when not given.",
        "schema": {"type": "string"},
    },
    {
        "name": "version",
        "in": "query",
        "required": False,
        "description": "Which of its versions; the highest one that serves when not given.",
        "schema": {"type": "integer", "minimum": 1},
    },
)
_BINARY: Document = {"type": "string", "format": "binary"}
_BASE64: Document = {"type": "string", "contentEncoding": "base64"}
_LATENTS: Document = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
EXAMPLE_LATENT_DIM = 32

VERSION_ONLY: Document = {"parameters": [_TARGET_PARAMETERS[1]]}
"""Of a route that has the model's name in its path."""


def errors(codes: Iterable[str]) -> dict[int | str, Document]:
    """OpenAPI responses for error codes, those of one status together."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {
        status: {
            "description": "; ".join(f"`{code}`: {title(code)}" for code in sorted(same)),
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}}
            },
        }
        for status, same in sorted(by_status.items())
    }


def responses(
    answer: type[BaseModel], formats: Sequence[str], codes: Iterable[str]
) -> dict[int | str, Document]:
    """The answer in its formats, and every error of a verb."""
    binary = {media_type: {"schema": _BINARY} for media_type in formats if media_type != JSON}
    success = {
        "model": answer,
        "description": "JSON"
        + (", or by `Accept`: " + ", ".join(formats[1:]) if formats[1:] else ""),
        "content": binary,
    }
    return {200: success, **errors(codes)}


def sample_body() -> Document:
    """`/sample`: options as JSON or query parameters, and maybe what to draw around."""
    near = {
        "type": "object",
        "description": "Draw around this instead of from the prior: an image or a latent.",
        "properties": {
            "image": _BASE64,
            "latent": {"type": "array", "items": {"type": "number"}},
            "radius": SampleOptions.model_json_schema()["properties"]["radius"],
        },
        "oneOf": [{"required": ["image"]}, {"required": ["latent"]}],
        "additionalProperties": False,
    }
    schema = _with_members(SampleOptions, {"latents_near": near}, required=())
    # In JSON it stands inside `latents_near`.
    del schema["properties"]["radius"]
    content: Document = {JSON: {"schema": schema}, MULTIPART: {"schema": _upload(1, 1)}}
    content |= {media_type: {"schema": _BINARY} for media_type in IMAGE_TYPES}
    return _operation(SampleOptions, content, required=False)


def ends_body() -> Document:
    """`/interpolate`: two images, latents or seeds."""
    kinds: Document = {
        "images": {"type": "array", "items": _BASE64},
        "latents": _LATENTS,
        "seeds": {"type": "array", "items": {"type": "integer"}},
    }
    two = {name: kind | {"minItems": 2, "maxItems": 2} for name, kind in kinds.items()}
    schema = _with_members(InterpolateOptions, two, required=())
    schema["oneOf"] = [{"required": [name]} for name in two]
    content: Document = {
        JSON: {"schema": schema},
        MULTIPART: {"schema": _upload(2, 2)},
        NPY: {"schema": _BINARY},
    }
    return _operation(InterpolateOptions, content)


def images_body(options: type[Options]) -> Document:
    """A verb that takes images: multipart, one raw file, or JSON with base64."""
    images = {"images": {"type": "array", "items": _BASE64}}
    content: Document = {
        MULTIPART: {"schema": _upload(1)},
        JSON: {"schema": _with_members(options, images)},
    }
    content |= {media_type: {"schema": _BINARY} for media_type in IMAGE_TYPES}
    return _operation(options, content)


def latents_body(options: type[Options]) -> Document:
    """A verb that takes latents: JSON or `.npy`."""
    content: Document = {
        JSON: {"schema": _with_members(options, {"latents": _LATENTS})},
        NPY: {"schema": _BINARY},
    }
    return _operation(options, content)


def with_examples(base: Document, latent_shape: tuple[int, ...]) -> Document:
    """A copy of the document with examples that fit the model that answers by default."""
    built = copy.deepcopy(base)
    for path, example in examples.requests(latent_shape).items():
        built["paths"][path]["post"]["requestBody"]["content"][JSON]["example"] = example
    for path, example in examples.answers(latent_shape).items():
        built["paths"][path]["post"]["responses"]["200"]["content"][JSON]["example"] = example
    return built


def document(app: FastAPI) -> Document:
    """The OpenAPI document, without examples."""
    built = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = built.setdefault("components", {}).setdefault("schemas", {})
    referenced: list[type[BaseModel]] = [*Options.__subclasses__(), ProblemAnswer]
    for model in referenced:
        schemas.setdefault(model.__name__, model.model_json_schema())
    # FastAPI lists a validation error of its own, which no route here can answer with.
    for operation in (item for path in built["paths"].values() for item in path.values()):
        if "422" in operation["responses"]:
            content = operation["responses"]["422"].get("content", {})
            if JSON in content:
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return built


def _operation(options: type[Options], content: Document, *, required: bool = True) -> Document:
    return {
        "parameters": [*_TARGET_PARAMETERS, *_parameters(options)],
        "requestBody": {"required": required, "content": content},
    }


def _upload(fewest: int, most: int | None = None) -> Document:
    images: Document = {"type": "array", "items": _BINARY, "minItems": fewest}
    if most:
        images["maxItems"] = most
    return {"type": "object", "properties": {"images": images}, "required": ["images"]}


def _with_members(
    options: type[Options], members: Document, required: Sequence[str] | None = None
) -> Document:
    """The options and the members beside them, all of which are required unless said."""
    schema: Document = {
        "type": "object",
        "properties": {**members, **options.model_json_schema().get("properties", {})},
        "additionalProperties": False,
    }
    if wanted := list(members if required is None else required):
        schema["required"] = wanted
    return schema


def _parameters(options: type[Options]) -> list[Document]:
    properties = options.model_json_schema().get("properties", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": _with_default(schema),
            # Swagger UI sends every default of a schema, and an option in the query beside a JSON
            # body is refused: its examples would fail.
            "schema": {k: v for k, v in schema.items() if k not in ("description", "default")},
        }
        for name, schema in properties.items()
    ]


def _with_default(schema: Document) -> str:
    default = schema.get("default")
    stated = "" if default is None else f" Default: {default}."
    return f"{schema.get('description', '')}{stated}".strip()
