"""What OpenAPI says of the verbs beyond what FastAPI can see: bodies, formats and errors."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.api.schemas import ProblemAnswer
from app.api.verb import Document, Verb
from app.codecs.formats import media_types
from app.codecs.images import base64_png
from app.errors import STATUS
from app.http.headers import JSON
from app.http.problems import MEDIA_TYPE, title
from model.pixels import Images

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
IMAGE_ERRORS = ("invalid_picture", "picture_too_large")


def _query(name: str, description: str, schema: Document) -> Document:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


_MODEL = _query("model", "The model to use; by default the default model.", {"type": "string"})
_VERSION = _query(
    "version",
    "Its version; by default the highest that serves.",
    {"type": "integer", "minimum": 1},
)
BINARY: Document = {"type": "string", "format": "binary"}
BASE64: Document = {"type": "string", "contentEncoding": "base64"}
LATENTS: Document = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
EXAMPLE_LATENT_DIM = 32
EXAMPLE_PICTURE: Document = {
    "width": 280,
    "height": 280,
    "mode": "RGB",
    "steps": ["converted to grey (ITU-R 601)", "resized to 28×28"],
}

VERSION_ONLY: Document = {"parameters": [_VERSION]}
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
    binary = {media_type: {"schema": BINARY} for media_type in formats if media_type != JSON}
    success = {
        "model": answer,
        "description": "JSON"
        + (", or by `Accept`: " + ", ".join(formats[1:]) if formats[1:] else ""),
        "content": binary,
    }
    return {200: success, **errors(codes)}


def operation(verb: Verb[Any]) -> Document:
    """What a verb's route declares: its answers, errors, parameters and body."""
    codes = (
        *VERB_ERRORS,
        *(IMAGE_ERRORS if verb.takes.images else ()),
        *(("unsupported_by_model",) if verb.may_need_likelihood else ()),
    )
    body = {"required": verb.takes.required, "content": verb.takes.content(verb.options)}
    parameters = [_MODEL, _VERSION, *_parameters(verb.options)]
    return {
        "summary": verb.summary,
        "description": verb.description,
        "responses": responses(verb.answer, media_types(verb.kind), codes),
        "openapi_extra": {"parameters": parameters, "requestBody": body},
    }


def with_examples(
    base: Document, verbs: Sequence[Verb[Any]], latent_shape: tuple[int, ...]
) -> Document:
    """A copy of the document with examples that fit the model that answers by default."""
    built = copy.deepcopy(base)
    for verb in verbs:
        request, answer = verb.example(latent_shape)
        operation = built["paths"][verb.path]["post"]
        operation["requestBody"]["content"][JSON]["example"] = request
        example = {"model": "mnist", "version": 1} | answer
        operation["responses"]["200"]["content"][JSON]["example"] = example
    return built


def document(app: FastAPI, verbs: Sequence[Verb[Any]]) -> Document:
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
    referenced: list[type[BaseModel]] = [*(verb.options for verb in verbs), ProblemAnswer]
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


def upload(fewest: int, most: int | None = None) -> Document:
    images: Document = {"type": "array", "items": BINARY, "minItems": fewest}
    if most:
        images["maxItems"] = most
    return {"type": "object", "properties": {"images": images}, "required": ["images"]}


def with_members(
    options: type[BaseModel], members: Document, required: Sequence[str] | None = None
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


def _parameters(options: type[BaseModel]) -> list[Document]:
    properties = options.model_json_schema().get("properties", {})
    return [
        # Swagger UI sends every default of a schema, and an option in the query beside a JSON
        # body is refused: its examples would fail.
        _query(
            name,
            _with_default(schema),
            {k: v for k, v in schema.items() if k not in ("description", "default")},
        )
        for name, schema in properties.items()
    ]


def _with_default(schema: Document) -> str:
    default = schema.get("default")
    stated = "" if default is None else f" Default: {default}."
    return f"{schema.get('description', '')}{stated}".strip()


def example_image() -> Images:
    """A ring that reads as a zero: uint8 [28, 28, 1]."""
    across, down = np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5)
    distance = np.abs(np.hypot(across / 0.75, down) - 8)
    ring: Images = np.clip(255 * (2.2 - distance), 0, 255).astype(np.uint8)[:, :, None]
    return ring


def example_images() -> list[str]:
    """The example image as JSON has it."""
    return [base64_png(example_image())]


def example_latents(shape: tuple[int, ...]) -> Any:  # noqa: ANN401 nested as the shape is
    """One latent of zeros."""
    return np.zeros((1, *shape)).tolist()
