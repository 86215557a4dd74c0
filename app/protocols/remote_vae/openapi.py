"""What OpenAPI says of the Remote VAE routes: their parameters, bodies and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.api import openapi
from app.api.requests import IMAGE_TYPES
from app.protocols.remote_vae.query import DTYPES
from app.protocols.remote_vae.responses import TENSOR

Document = dict[str, Any]

_BINARY: Document = {"schema": {"type": "string", "format": "binary"}}
_NUMBER: Document = {"type": "number"}
_INTEGER: Document = {"type": "integer", "minimum": 1}
_BOOLEAN: Document = {"type": "string", "enum": ["True", "False"]}
_SHAPE: Document = {"type": "array", "items": _INTEGER, "maxItems": 8}
_HEADERS: Document = {
    "shape": {"description": "JSON list of the tensor's axes.", "schema": {"type": "string"}},
    "dtype": {
        "description": "The tensor's type, as torch calls it.",
        "schema": {"type": "string", "enum": list(DTYPES)},
    },
}
_TARGET: dict[str, tuple[str, Document]] = {
    "model": (
        "Which model answers; the default model if its latents are maps, else the only one whose "
        "are.",
        {"type": "string"},
    ),
    "version": ("Which of its versions; the highest that serves when not given.", _INTEGER),
}
_SCALING = {
    "scaling_factor": ("Of the latents: (z − shift) · scaling.", _NUMBER),
    "shift_factor": ("Of the latents.", _NUMBER),
}


def decode() -> Document:
    """Parameters and body of `/remote-vae/decode`."""
    return {
        "parameters": _parameters(
            {
                "shape": ("Each axis of the latents.", _SHAPE),
                "dtype": ("Of the latents.", {"type": "string", "enum": list(DTYPES)}),
                **_SCALING,
                "do_scaling": ("True without factors: the model's own.", _BOOLEAN),
                "output_type": (
                    "`pil`: an image file; `pt`: a tensor.",
                    {"type": "string", "enum": ["pil", "pt"]},
                ),
                "image_format": (
                    "Of the image file; `jpg` unless given.",
                    {"type": "string", "enum": ["jpg", "png"]},
                ),
                "partial_postprocess": ("With `pt`: uint8 [n, h, w, c].", _BOOLEAN),
                "height": ("Of the image, for packed latents.", _INTEGER),
                "width": ("As `height`.", _INTEGER),
            },
            required=("shape", "dtype"),
        ),
        "requestBody": {"required": True, "content": {TENSOR: _BINARY}},
    }


def encode() -> Document:
    """Parameters and body of `/remote-vae/encode`."""
    content = dict.fromkeys((*IMAGE_TYPES, TENSOR), _BINARY)
    return {
        "parameters": _parameters(
            {
                "shape": ("Each axis of a tensor [n, c, h, w]; not for an image file.", _SHAPE),
                "dtype": ("Of a tensor.", {"type": "string", "enum": list(DTYPES)}),
                **_SCALING,
            }
        ),
        "requestBody": {"required": True, "content": content},
    }


def responses(formats: Sequence[str], codes: Iterable[str]) -> dict[int | str, Document]:
    """The answer in its formats, and every error."""
    success: Document = {
        "description": "A bare tensor, its shape and type in headers, or an image file.",
        "content": dict.fromkeys(formats, _BINARY),
        "headers": _HEADERS,
    }
    return {200: success, **openapi.errors(codes)}


def _parameters(
    described: dict[str, tuple[str, Document]], required: tuple[str, ...] = ()
) -> list[Document]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": text,
            "schema": schema,
        }
        for name, (text, schema) in (_TARGET | described).items()
    ]
