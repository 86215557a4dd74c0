"""Tensors → the body of an inference response, JSON with the bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from starlette.responses import Response

from app.protocols.oip import compression
from app.protocols.oip.requests import HEADER_LENGTH, InferRequest
from app.protocols.oip.tensors import DATATYPE
from model.pixels import Floats

JSON = "application/json"
BINARY = "application/octet-stream"

Members = dict[str, object]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model and version answered."""

    name: str
    version: int


def infer(
    identity: Identity,
    request: InferRequest,
    outputs: Mapping[str, Floats],
    encoding: str | None,
) -> Response:
    """The response to `request` with its outputs, compressed where `encoding` says how."""
    entries: list[Members] = []
    pieces: list[bytes] = []
    for wanted in request.outputs:
        array = np.ascontiguousarray(outputs[wanted.name], "<f4")
        entry: Members = {"name": wanted.name, "datatype": DATATYPE, "shape": list(array.shape)}
        if wanted.binary:
            pieces.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": array.nbytes}
        else:
            entry["data"] = array.ravel()
        entries.append(entry)
    document: Members = {
        "model_name": identity.name,
        "model_version": str(identity.version),
        "outputs": entries,
    }
    if request.id is not None:
        document["id"] = request.id
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {HEADER_LENGTH: str(len(head))} if pieces else {}
    content = b"".join((head, *pieces)) if pieces else head
    if encoding is not None:
        content = compression.compress(content, encoding)
        headers["Content-Encoding"] = encoding
    headers["Vary"] = "Accept-Encoding"
    return Response(content, headers=headers, media_type=BINARY if pieces else JSON)


def document(members: object) -> Response:
    """Any other answer of the protocol."""
    return Response(orjson.dumps(members), media_type=JSON)
