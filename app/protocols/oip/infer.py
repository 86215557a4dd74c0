"""A checked request → the model's outputs, through the engine's batchers."""

from __future__ import annotations

import numpy as np

from app.concurrency import Offload
from app.errors import InvalidFieldError
from app.inference import validation
from app.inference.batcher import MicroBatcher
from app.inference.engine import Engine
from app.inference.permit import Permit
from app.protocols.oip.model_names import Kind, Signature
from model.pixels import Floats, finite_rows

_STAGES: dict[Kind, int] = {"encoder": 1, "decoder": 1, "reconstruct": 2}


async def run(
    engine: Engine,
    permit: Permit,
    kind: Kind,
    signature: Signature,
    rows: Floats,
    offload: Offload,
) -> dict[str, Floats]:
    """The outputs by name, float32 [n, …]; large ones are looked through in a thread.

    Raises:
        InvalidFieldError: the rows are of a size that the model does not take, or a row's answer
            has values that are no finite numbers.
        ServiceError: as the permit and the batchers raise.
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
    """Height and width of the images that go in, or come out."""
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
    msg = f"row {row} of {source!r} makes {name} that are no finite numbers; send smaller values"
    raise InvalidFieldError(msg, field=source, index=row)
