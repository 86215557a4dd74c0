"""Parses an inference request, JSON and the tensor after it, to rows and requested outputs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, NonNegativeInt, model_validator
from starlette.types import Scope

from app.errors import (
    BodyTooLargeError,
    InvalidFieldError,
    MalformedRequestError,
    NotImplementedByServiceError,
)
from app.http.body import parse_object
from app.http.headers import single
from app.http.parameters import validate
from app.protocols.oip import tensors
from app.protocols.oip.model_names import VARIABLE, Signature, Tensor, shown
from app.protocols.oip.tensors import DATATYPE, Members
from model.pixels import Floats

HEADER_LENGTH = "Inference-Header-Content-Length"

_OTHER_VALUES = 1024
"""The limit of values and of lists besides the data."""
_MOST_VALUES = 4096
"""The limit of values in a request to the repository."""
_MOST_LISTS = 1 << 18
"""The limit of lists in nested data, which take some megabytes; flat data needs one list."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A checked request: `rows` float32 [n, …], `timeout` in seconds or None."""

    rows: Floats
    outputs: dict[str, bool]
    """The requested outputs, in order; true for binary data, false for JSON."""
    id: str | None = None
    timeout: float | None = None


class _TensorParameters(BaseModel, strict=True, extra="allow"):
    binary_data_size: Any = None
    binary_data: bool | None = None
    classification: Any = None

    @model_validator(mode="after")
    def _refuse_shared_memory(self) -> Self:
        if any(name.startswith("shared_memory") for name in self.model_extra or ()):
            msg = "shared memory is not supported; send the data"
            raise NotImplementedByServiceError(msg, field="shared_memory_region")
        return self


_NO_PARAMETERS = _TensorParameters()


class _RequestParameters(BaseModel, strict=True):
    binary_data_output: bool = False
    sequence_id: Any = None
    timeout: NonNegativeInt | None = None
    """Microseconds; 0 is no timeout."""


class _Output(BaseModel, strict=True):
    name: str
    parameters: _TensorParameters | None = None


class _Input(_Output, strict=True):
    datatype: Literal["FP32"]
    shape: list[int]
    data: Any = None


class _Request(BaseModel, strict=True):
    id: str | None = None
    inputs: Annotated[list[_Input], Field(min_length=1, max_length=1)]
    outputs: list[_Output] | None = None
    parameters: _RequestParameters | None = None


class RepositoryRequest(BaseModel, strict=True):
    """The members of a request to the repository."""

    ready: bool = False
    parameters: dict[str, Any] | None = None


def header_length(scope: Scope) -> int | None:
    """Returns the bytes of JSON before the tensors; None if the whole body is JSON.

    Raises:
        MalformedRequestError: the header is not a number, or is given twice.
    """
    text = single(scope, HEADER_LENGTH)
    if text is not None and not re.fullmatch(r"\s*[0-9]{1,12}\s*", text):
        msg = f"{HEADER_LENGTH} is {shown(text)}; it must be a number of bytes"
        raise MalformedRequestError(msg, field=HEADER_LENGTH)
    return None if text is None else int(text)


def parse(
    content: bytes,
    json_length: int | None,
    signature: Signature,
    max_rows: int,
    max_json_bytes: int,
) -> InferRequest:
    """Parses and checks a request's body; `json_length` as `header_length` returns it.

    Raises:
        MalformedRequestError: it is not JSON, or its sizes are inconsistent.
        BodyTooLargeError: its JSON exceeds the limit.
        InvalidFieldError: a member is missing, unknown, or does not fit the model.
        NotImplementedByServiceError: it needs a feature that the service does not have.
    """
    if json_length == 0:
        return _raw(content, signature)
    length = len(content) if json_length is None else json_length
    if length > len(content):
        msg = f"{HEADER_LENGTH} is {length}, the body has {len(content)} bytes"
        raise MalformedRequestError(msg, field=HEADER_LENGTH)
    _check_json_size(length, max_json_bytes)
    document = _document(content[:length], signature.input, max_rows)
    asked = validate(_Request, document, strict=True)
    parameters = asked.parameters or _RequestParameters()
    if parameters.sequence_id not in (None, 0, ""):
        msg = "the models are stateless and have no sequences; leave out `sequence_id`"
        raise NotImplementedByServiceError(msg, field="sequence_id")
    return InferRequest(
        rows=_rows(asked.inputs[0], memoryview(content)[length:], signature.input, max_rows),
        outputs=_outputs(asked.outputs, parameters.binary_data_output, signature),
        id=asked.id,
        timeout=parameters.timeout / 1e6 if parameters.timeout else None,
    )


def parse_repository(content: bytes, max_json_bytes: int) -> RepositoryRequest:
    """Parses the body of a request to the repository, which may be empty; raises as `parse`."""
    _check_json_size(len(content), max_json_bytes)
    content = content if content.strip() else b"{}"
    members = parse_object(content, max_values=_MOST_VALUES, max_containers=_MOST_VALUES)
    return validate(RepositoryRequest, members, strict=True)


def _check_json_size(length: int, limit: int) -> None:
    if length > limit:
        msg = f"the JSON may have at most {limit} bytes; send tensors as binary data"
        raise BodyTooLargeError(msg, field="body", limit=limit)


def _raw(content: bytes, signature: Signature) -> InferRequest:
    """Reads a body without JSON: one row of the model's input."""
    tensor = signature.input
    known = math.prod(size for size in tensor.shape if size != VARIABLE)
    variable = tensor.shape.count(VARIABLE)
    if variable > 1:
        msg = f"input {tensor.name!r} has {variable} variable axes; send its shape in a JSON header"
        raise InvalidFieldError(msg, field=HEADER_LENGTH)
    row_bytes = known * tensors.ITEM_BYTES
    rest = len(content) // row_bytes if variable else 1
    shape = tuple(rest if size == VARIABLE else size for size in tensor.shape)
    if not rest or len(content) != rest * row_bytes:
        msg = (
            f"without a JSON header the body is one row of {tensor.name!r}: "
            f"{DATATYPE} of shape {list(tensor.shape)}, {row_bytes} bytes"
            f"{' or a multiple' if variable else ''}; it has {len(content)}"
        )
        raise InvalidFieldError(msg, field="body", limit=row_bytes)
    rows = tensors.from_binary(tensor.name, memoryview(content), (1, *shape))
    return InferRequest(rows, {output.name: True for output in signature.outputs})


def _document(content: bytes, tensor: Tensor, max_rows: int) -> Members:
    if not content.strip():
        msg = "the body is empty; send a JSON object with the list 'inputs'"
        raise MalformedRequestError(msg, field="body")
    sizes = [max_rows, *(tensors.LARGEST_AXIS if s == VARIABLE else s for s in tensor.shape)]
    lists = sum(math.prod(sizes[:depth]) for depth in range(len(sizes)))
    return parse_object(
        content,
        max_values=min(math.prod(sizes), len(content)) + _OTHER_VALUES,
        max_containers=min(lists, _MOST_LISTS) + _OTHER_VALUES,
    )


def _rows(given: _Input, binary: memoryview, tensor: Tensor, max_rows: int) -> Floats:
    if given.name != tensor.name:
        msg = f"input {shown(given.name)} does not exist; send {tensor.name!r}"
        raise InvalidFieldError(msg, field="inputs")
    shape = tensors.check_shape(tensor, given.shape, max_rows)
    size = given.parameters.binary_data_size if given.parameters else None
    has_data = "data" in given.model_fields_set
    if size is None and len(binary):
        msg = f"{len(binary)} bytes follow the JSON, but no input has a binary_data_size"
        raise MalformedRequestError(msg, field="body")
    if has_data == (size is not None):
        both = "both data and" if has_data else "neither data nor"
        msg = f"input {tensor.name!r} has {both} the parameter binary_data_size; send one of them"
        raise InvalidFieldError(msg, field="data")
    if has_data:
        return tensors.from_json(tensor.name, given.data, shape)
    if type(size) is not int or size != len(binary):
        msg = (
            f"input {tensor.name!r} has binary_data_size {shown(size)}, but {len(binary)} bytes "
            "follow the JSON; the sizes of all inputs must add up to that"
        )
        raise MalformedRequestError(msg, field="binary_data_size")
    return tensors.from_binary(tensor.name, binary, shape)


def _outputs(entries: list[_Output] | None, binary: bool, signature: Signature) -> dict[str, bool]:
    names = [output.name for output in signature.outputs]
    if not entries:
        return dict.fromkeys(names, binary)
    wanted: dict[str, bool] = {}
    for entry in entries:
        name, parameters = entry.name, entry.parameters or _NO_PARAMETERS
        if name not in names or name in wanted:
            problem = "is requested twice" if name in wanted else "does not exist"
            msg = f"output {shown(name)} {problem}; the model has {', '.join(names)}"
            raise InvalidFieldError(msg, field="outputs")
        if parameters.classification not in (None, 0):
            msg = f"output {name!r} has no classes; leave out `classification`"
            raise NotImplementedByServiceError(msg, field="classification")
        chosen = parameters.binary_data
        wanted[name] = binary if chosen is None else chosen
    return wanted
