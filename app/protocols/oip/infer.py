"""Runs a checked request through the engine's batchers and formats the response."""

from __future__ import annotations

from collections.abc import Mapping

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
from app.protocols.oip.model_names import PROGRAMS, Kind, Signature
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
    batcher: MicroBatcher = getattr(engine, PROGRAMS[kind])
    answer = await batcher(rows)
    names = [tensor.name for tensor in signature.outputs]
    outputs = dict(zip(names, answer.outputs, strict=True))
    for name, output in outputs.items():
        source = signature.input.name
        what = f"of {source!r} gives non-finite {name}; send smaller values"
        validation.check_rows(await offload(output.size, finite_rows, output), what, source)
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


def response(
    identity: tuple[str, int],
    request: InferRequest,
    outputs: Mapping[str, Floats],
    encoding: str | None,
) -> Response:
    """Formats the response to `request`: JSON, then binary outputs, compressed by `encoding`.

    `identity` is the name and the version of the model that answered.
    """
    entries: list[Members] = []
    pieces: list[bytes] = []
    for name, binary in request.outputs.items():
        array = np.ascontiguousarray(outputs[name], "<f4")
        entry: Members = {"name": name, "datatype": DATATYPE, "shape": list(array.shape)}
        if binary:
            pieces.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": array.nbytes}
        else:
            entry["data"] = array.ravel()
        entries.append(entry)
    document: Members = {
        "model_name": identity[0],
        "model_version": str(identity[1]),
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
