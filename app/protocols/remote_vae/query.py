"""The query of a Remote VAE request, as diffusers' `remote_utils` sends it.

`requests` sends a list as repeated keys and a boolean as `True` or `False`, and leaves out None.
Some clients send further parameters, so unknown ones are ignored.
"""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from app.errors import InvalidFieldError
from app.http.headers import query_of
from app.http.parameters import once, validate
from model.bundle.scaling import Scaling

Dtype = Literal["float16", "float32", "bfloat16", "uint8"]
"""A type of tensors, by its name in torch."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

_OutputType = Literal["pil", "pt"]
_Format = Literal["jpg", "png"]

_LONGEST_NUMBER = 32
_FACTORS = (1e-30, 1e30)
"""The range of |factor|, well inside float32, the type in which latents are scaled."""
_MOST_AXES = 8


def _error(expected: str) -> PydanticCustomError:
    return PydanticCustomError("remote_vae", "{expected}", {"expected": expected})


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise _error("a positive integer of at most 9 digits")
    return int(text)


def _axes(texts: list[str]) -> tuple[int, ...]:
    if len(texts) > _MOST_AXES:
        raise _error(f"a list of at most {_MOST_AXES} axes")
    return tuple(map(_positive, texts))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _error("True or False")
    return text.lower() == "true"


def _number(text: str) -> float:
    if len(text) <= _LONGEST_NUMBER and re.fullmatch(r"[0-9.eE+-]+", text):
        with contextlib.suppress(ValueError):
            value = float(text)
            if value == 0 or _FACTORS[0] < abs(value) < _FACTORS[1]:
                return value
    raise _error(f"a number within ±{_FACTORS[1]:g}")


def _not_zero(value: float | None) -> float | None:
    if value == 0:
        raise _error("a number other than 0")
    return value


_INTEGER = {"type": "integer", "minimum": 1}
_SHAPE = WithJsonSchema({"type": "array", "items": _INTEGER, "maxItems": _MOST_AXES})
_Shape = Annotated[tuple[int, ...], BeforeValidator(_axes)]
_Number = Annotated[
    Annotated[float, BeforeValidator(_number)] | None, WithJsonSchema({"type": "number"})
]
_Length = Annotated[Annotated[int, BeforeValidator(_positive)] | None, WithJsonSchema(_INTEGER)]
_Flag = Annotated[
    bool,
    BeforeValidator(_boolean),
    WithJsonSchema({"type": "string", "enum": ["True", "False"]}),
]


class _Query(BaseModel, frozen=True):
    shape: _Shape | None
    dtype: Dtype
    scaling_factor: Annotated[_Number, AfterValidator(_not_zero)] = Field(
        None, description="Scaling of the latents: (z − shift) · scaling."
    )
    shift_factor: _Number = Field(None, description="Shift of the latents.")

    def _scaling(self) -> Scaling:
        factor = 1.0 if self.scaling_factor is None else self.scaling_factor
        return Scaling(factor, self.shift_factor or 0.0)


class DecodeQuery(_Query, frozen=True):
    """The checked parameters of `/remote-vae/decode`."""

    shape: Annotated[_Shape, _SHAPE] = Field(
        description="Shape of the latents, one axis each time."
    )
    dtype: Dtype = Field(description="Type of the latents.")
    do_scaling: _Flag = Field(False, description="`True` without factors applies the model's own.")
    output_type: _OutputType = Field("pil", description="`pil`: an image file; `pt`: a tensor.")
    image_format: _Format = Field("jpg", description="Format of the image file.")
    partial_postprocess: _Flag = Field(False, description="With `pt`: uint8 [n, h, w, c].")
    height: _Length = Field(None, description="Height of the image, for packed latents.")
    width: _Length = Field(None, description="Width, likewise.")

    @property
    def scaling(self) -> Scaling | None:
        """The scaling of the sent latents; None means the model's."""
        return None if self.do_scaling and self.scaling_factor is None else self._scaling()

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the image, which packed latents need."""
        return (self.height, self.width) if self.height and self.width else None


class EncodeQuery(_Query, frozen=True):
    """The checked parameters of `/remote-vae/encode`."""

    shape: Annotated[_Shape | None, _SHAPE] = Field(
        None,
        description="Shape of a tensor [n, c, h, w], one axis each time; not for an image file.",
    )
    dtype: Dtype = Field("float32", description="Type of a tensor.")

    @property
    def scaling(self) -> Scaling:
        """The scaling of the returned latents."""
        return self._scaling()


def decode_query(request: Request) -> DecodeQuery:
    """Reads and checks the query of `/remote-vae/decode`.

    Raises:
        InvalidFieldError: a parameter is missing, given twice or invalid.
    """
    query = validate(DecodeQuery, _values(request, DecodeQuery), strict=False)
    if (query.height is None) != (query.width is None):
        msg = "height and width belong together; send both or neither"
        raise InvalidFieldError(msg, field="width" if query.width is None else "height")
    return query


def encode_query(request: Request) -> EncodeQuery:
    """Reads and checks the query of `/remote-vae/encode`; errors as in `decode_query`.

    Without a shape, the body is an image file and `dtype` is ignored.
    """
    values = _values(request, EncodeQuery)
    if "shape" not in values:
        values.pop("dtype", None)
    elif "dtype" not in values:
        raise InvalidFieldError("dtype is missing", field="dtype")
    return validate(EncodeQuery, values, strict=False)


def _values(request: Request, model: type[BaseModel]) -> dict[str, object]:
    query = query_of(request)
    values: dict[str, object] = {}
    for name in model.model_fields.keys() & query.keys():
        given = query.getlist(name)
        values[name] = given if name == "shape" else once(given, name)
    return values
