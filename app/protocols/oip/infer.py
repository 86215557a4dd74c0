"""Runs a checked request through the engine's batchers and formats the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from starlette.responses import Response

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import validation
from app.inference.admission import Permit
from app.inference.batcher import MicroBatcher
from app.inference.engine import Engine
from app.protocols.oip import compression
from app.protocols.oip.model_names import Kind, Signature
from app.protocols.oip.requests import HEADER_LENGTH, InferRequest
from app.protocols.oip.tensors import DATATYPE, Members
from model.pixels import Floats, finite_rows

JSON = "application/json"
BINARY = "application/octet-stream"

_STAGES: dict[Kind, int] = {"encoder": 1, "decoder": 1, "reconstruct": 2}


async def run(
    engine: Engine,
    permit: Permit,
    kind: Kind,
    signature: Signature,
    rows: Floats,
    offload: Offload,
) -> dict[str, Floats]:
    """Returns the outputs by name, float32 [n, …]; a thread checks large ones.

    Raises:
        InvalidFieldError: the model does not support the rows' size, or a row's output has
            non-finite values.
        ServiceError: see the permit and the batchers.
    """
    height, width = _size(engine, kind, rows, signature.input.name)
    permit.take(engine, len(rows) * height * width * _STAGES[kind])
    answer = await _batcher(engine, kind)(rows)
    outputs = {
        tensor.name: output
        for tensor, output in zip(signature.outputs, answer.outputs, strict=True)
    }
    for name, output in outputs.items():
        await offload(output.size, _check_finite, signature.input.name, name, output)
    return outputs


def _size(engine: Engine, kind: Kind, rows: Floats, name: str) -> tuple[int, int]:
    """Returns the height and width of the images that enter or leave the model."""
    if kind == "decoder":
        return validation.of_latents(engine.manifest, rows.shape[1:], field=name)
    taken = engine.manifest.input.sizes
    height, width = rows.shape[2:]
    if taken and not (taken.take(height) and taken.take(width)):
        msg = f"{name!r} has images {width} wide and {height} high; the model takes {taken}"
        raise InvalidFieldError(msg, field="shape", limit=taken.max)
    return height, width


def _batcher(engine: Engine, kind: Kind) -> MicroBatcher:
    if kind == "encoder":
        return engine.encode_tensors
    return engine.decode_tensors if kind == "decoder" else engine.reconstruct_tensors


def _check_finite(source: str, name: str, output: Floats) -> None:
    finite = finite_rows(output)
    if finite.all():
        return
    row = int(np.argmin(finite))
    msg = f"row {row} of {source!r} gives non-finite {name}; send smaller values"
    raise InvalidFieldError(msg, field=source, index=row)


@dataclass(frozen=True, slots=True)
class Identity:
    """The model and version that answered."""

    name: str
    version: int


def response(
    identity: Identity,
    request: InferRequest,
    outputs: Mapping[str, Floats],
    encoding: str | None,
) -> Response:
    """Formats the response to `request`: JSON, then binary outputs, compressed by `encoding`."""
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
    """Formats any other response of the protocol as JSON."""
    return Response(orjson.dumps(members), media_type=JSON)
