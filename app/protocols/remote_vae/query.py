"""Parses the query of a Remote VAE request, as diffusers' `remote_utils` sends it.

`requests` sends a list as repeated keys and a boolean as `True` or `False`, and leaves out None.
Some clients send further parameters, so unknown ones are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.errors import InvalidFieldError
from app.http.headers import query_of
from model.bundle.scaling import Scaling

T = TypeVar("T")

Dtype = Literal["float16", "float32", "bfloat16", "uint8"]
"""A type of tensors, by its name in torch."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

OutputType = Literal["pil", "pt"]
ImageFormat = Literal["jpg", "png"]

_FORMATS = ("jpg", "png")
_LONGEST_NUMBER = 32
_FACTORS = (1e-30, 1e30)
"""The range of |factor|, well inside float32, the type in which latents are scaled."""
_LONGEST_SHOWN = 40
_MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class DecodeQuery:
    """The checked parameters of `/remote-vae/decode`."""

    shape: tuple[int, ...]
    dtype: Dtype
    scaling: Scaling | None
    """The scaling of the sent latents; None means the model's."""
    output_type: OutputType
    image_format: ImageFormat
    partial_postprocess: bool
    size: tuple[int, int] | None
    """Height and width of the image, which packed latents need."""


@dataclass(frozen=True, slots=True)
class EncodeQuery:
    """The checked parameters of `/remote-vae/encode`."""

    shape: tuple[int, ...] | None
    """The shape of a tensor; None means that the body is an image file."""
    dtype: Dtype
    scaling: Scaling
    """The scaling of the returned latents."""


def decode_query(request: Request) -> DecodeQuery:
    """Reads and checks the query of `/remote-vae/decode`.

    Raises:
        InvalidFieldError: a parameter is missing, given twice or invalid.
    """
    query = query_of(request)
    shape = _shape(query)
    if shape is None:
        msg = "shape is missing; send each axis of the latents, such as shape=1&shape=4&…"
        raise InvalidFieldError(msg, field="shape")
    output_type = _one_of(query, "output_type", ("pil", "pt", "mp4"), "pil")
    if output_type == "mp4":
        msg = "output_type must be pil or pt; this service has no video models"
        raise InvalidFieldError(msg, field="output_type")
    return DecodeQuery(
        shape=shape,
        dtype=_dtype(query),
        scaling=_decode_scaling(query),
        output_type="pt" if output_type == "pt" else "pil",
        image_format="png" if _one_of(query, "image_format", _FORMATS, "jpg") == "png" else "jpg",
        partial_postprocess=_boolean(query, "partial_postprocess"),
        size=_size(query),
    )


def encode_query(request: Request) -> EncodeQuery:
    """Reads and checks the query of `/remote-vae/encode`; errors as in `decode_query`."""
    query = query_of(request)
    shape = _shape(query)
    dtype = "float32" if shape is None else _dtype(query)
    return EncodeQuery(shape, dtype, _scaling(query) or Scaling())


def _shape(query: QueryParams) -> tuple[int, ...] | None:
    axes = query.getlist("shape")
    if len(axes) > _MOST_AXES:
        msg = f"shape must have at most {_MOST_AXES} axes, got {len(axes)}"
        raise InvalidFieldError(msg, field="shape", limit=_MOST_AXES)
    return tuple(_positive("shape", text) for text in axes) or None


def _dtype(query: QueryParams) -> Dtype:
    name = _one_of(query, "dtype", DTYPES, None)
    return next(dtype for dtype in DTYPES if dtype == name)


def _decode_scaling(query: QueryParams) -> Scaling | None:
    """`do_scaling` without factors means the model's scaling; neither means none."""
    given = _scaling(query)
    if given is not None and "scaling_factor" in query:
        return given
    return None if _boolean(query, "do_scaling") else given or Scaling()


def _scaling(query: QueryParams) -> Scaling | None:
    factor = _parsed(query, "scaling_factor", _number)
    shift = _parsed(query, "shift_factor", _number)
    if factor == 0:
        msg = "scaling_factor must not be 0"
        raise InvalidFieldError(msg, field="scaling_factor")
    if factor is None and shift is None:
        return None
    return Scaling(1.0 if factor is None else factor, shift or 0.0)


def _size(query: QueryParams) -> tuple[int, int] | None:
    height = _parsed(query, "height", _positive)
    width = _parsed(query, "width", _positive)
    if (height is None) != (width is None):
        msg = "height and width belong together; send both or neither"
        raise InvalidFieldError(msg, field="width" if width is None else "height")
    return None if height is None or width is None else (height, width)


def _parsed(query: QueryParams, name: str, parse: Callable[[str, str], T]) -> T | None:
    text = _single(query, name)
    return None if text is None else parse(name, text)


def _single(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        msg = f"{name} is given {len(values)} times; send it once"
        raise InvalidFieldError(msg, field=name)
    return values[0] if values else None


def _one_of(query: QueryParams, name: str, choices: tuple[str, ...], default: str | None) -> str:
    text = _single(query, name)
    if text is None and default is not None:
        return default
    if text not in choices:
        found = "it is missing" if text is None else f"got {_shown(text)}"
        msg = f"{name} must be one of {', '.join(choices)}; {found}"
        raise InvalidFieldError(msg, field=name)
    return text


def _boolean(query: QueryParams, name: str) -> bool:
    text = _single(query, name)
    if text is None or text.lower() in ("true", "false"):
        return text is not None and text.lower() == "true"
    msg = f"{name} must be True or False, got {_shown(text)}"
    raise InvalidFieldError(msg, field=name)


def _positive(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        msg = f"{name} must be a positive integer of at most 9 digits, got {_shown(text)}"
        raise InvalidFieldError(msg, field=name)
    return int(text)


def _number(name: str, text: str) -> float:
    if len(text) <= _LONGEST_NUMBER and re.fullmatch(r"[0-9.eE+-]+", text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if value == 0 or _FACTORS[0] < abs(value) < _FACTORS[1]:
            return value
    msg = f"{name} must be a number within ±{_FACTORS[1]:g}, got {_shown(text)}"
    raise InvalidFieldError(msg, field=name)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
