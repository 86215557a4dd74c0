"""Parses an inference request, JSON and the tensor after it, to rows and requested outputs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from starlette.types import Scope

from app.errors import (
    BodyTooLargeError,
    InvalidFieldError,
    MalformedRequestError,
    NotImplementedByServiceError,
)
from app.http.body import parse_object
from app.http.headers import single
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
class Wanted:
    """A requested output, as binary data or JSON."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A checked request: `rows` float32 [n, …], `timeout` in seconds or None."""

    rows: Floats
    outputs: tuple[Wanted, ...]
    id: str | None = None
    timeout: float | None = None


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
    parameters = tensors.object_of(document, "parameters", "the request")
    if parameters.get("sequence_id") not in (None, 0, ""):
        msg = "the models are stateless and have no sequences; leave out `sequence_id`"
        raise NotImplementedByServiceError(msg, field="sequence_id")
    return InferRequest(
        rows=_rows(document, memoryview(content)[length:], signature.input, max_rows),
        outputs=_outputs(document, tensors.flag_of(parameters, "binary_data_output"), signature),
        id=_id(document),
        timeout=_timeout(parameters),
    )


def parse_repository(content: bytes, max_json_bytes: int) -> Members:
    """Parses the body of a request to the repository, which may be empty; raises as `parse`."""
    _check_json_size(len(content), max_json_bytes)
    if not content.strip():
        return {}
    return parse_object(content, max_values=_MOST_VALUES, max_containers=_MOST_VALUES)


def _check_json_size(length: int, limit: int) -> None:
    if length > limit:
        msg = f"the JSON has at most {limit} bytes; send tensors as binary data"
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
    return InferRequest(rows, tuple(Wanted(output.name, True) for output in signature.outputs))


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


def _rows(document: Members, binary: memoryview, tensor: Tensor, max_rows: int) -> Floats:
    given = _input(document, tensor)
    where = f"input {tensor.name!r}"
    if (datatype := given.get("datatype")) != DATATYPE:
        msg = f"{where} has datatype {shown(datatype)}; send {DATATYPE}"
        raise InvalidFieldError(msg, field="datatype")
    shape = tensors.check_shape(tensor, given.get("shape"), max_rows)
    parameters = _tensor_parameters(given, where)
    size = parameters.get("binary_data_size")
    if size is None:
        if len(binary):
            msg = f"{len(binary)} bytes follow the JSON, and no input has a binary_data_size"
            raise MalformedRequestError(msg, field="body")
        if "data" not in given:
            msg = f"{where} has neither data nor the parameter binary_data_size"
            raise InvalidFieldError(msg, field="data")
        return tensors.from_json(tensor.name, given["data"], shape)
    if "data" in given:
        msg = f"{where} has both data and the parameter binary_data_size; send one of them"
        raise InvalidFieldError(msg, field="data")
    if type(size) is not int or size != len(binary):
        msg = (
            f"{where} has binary_data_size {shown(size)}, and {len(binary)} bytes follow "
            "the JSON; the sizes of all inputs must add up to them"
        )
        raise MalformedRequestError(msg, field="binary_data_size")
    return tensors.from_binary(tensor.name, binary, shape)


def _input(document: Members, tensor: Tensor) -> Members:
    """Returns the entry of `inputs` for the model's only input."""
    entries = document.get("inputs")
    if not isinstance(entries, list) or not entries:
        msg = f"inputs must be a list with one entry, for {tensor.name!r}"
        raise InvalidFieldError(msg, field="inputs")
    for name in (tensors.name_of(entry, "inputs") for entry in entries):
        if name != tensor.name:
            msg = f"input {shown(name)} does not exist; send {tensor.name!r}"
            raise InvalidFieldError(msg, field="inputs")
    if len(entries) > 1:
        msg = f"input {tensor.name!r} is given {len(entries)} times; send it once"
        raise InvalidFieldError(msg, field="inputs")
    found: Members = entries[0]
    return found


def _outputs(document: Members, binary: bool, signature: Signature) -> tuple[Wanted, ...]:
    names = [output.name for output in signature.outputs]
    entries = document.get("outputs")
    if entries is None or entries == []:
        return tuple(Wanted(name, binary) for name in names)
    if not isinstance(entries, list) or len(entries) > len(names):
        msg = f"outputs must be a list with some of {', '.join(names)}, each once"
        raise InvalidFieldError(msg, field="outputs")
    wanted: dict[str, Wanted] = {}
    for entry in entries:
        name = tensors.name_of(entry, "outputs")
        if name not in names or name in wanted:
            problem = "is asked for twice" if name in wanted else "does not exist"
            msg = f"output {shown(name)} {problem}; the model answers {', '.join(names)}"
            raise InvalidFieldError(msg, field="outputs")
        wanted[name] = Wanted(name, _is_binary(entry, name, binary))
    return tuple(wanted.values())


def _is_binary(entry: Members, name: str, default: bool) -> bool:
    where = f"output {name!r}"
    parameters = _tensor_parameters(entry, where)
    if parameters.get("classification") not in (None, 0):
        msg = f"{where} can't be classified: it has no classes; leave out `classification`"
        raise NotImplementedByServiceError(msg, field="classification")
    return tensors.flag_of(parameters, "binary_data", default=default)


def _tensor_parameters(entry: Members, where: str) -> Members:
    parameters = tensors.object_of(entry, "parameters", where)
    if any(name.startswith("shared_memory") for name in parameters):
        msg = f"{where} names shared memory, which this service does not have; send the data"
        raise NotImplementedByServiceError(msg, field="shared_memory_region")
    return parameters


def _id(document: Members) -> str | None:
    value = document.get("id")
    if value is not None and not isinstance(value, str):
        msg = f"id must be a string, got {shown(value)}"
        raise InvalidFieldError(msg, field="id")
    return value


def _timeout(parameters: Members) -> float | None:
    """Returns seconds; the protocol sends microseconds, and 0 for no timeout."""
    value = parameters.get("timeout")
    if value is not None and (type(value) is not int or value < 0):
        msg = f"the parameter timeout must be a number of microseconds, got {shown(value)}"
        raise InvalidFieldError(msg, field="timeout")
    return value / 1e6 if value else None
