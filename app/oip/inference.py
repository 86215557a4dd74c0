"""A checked request → the model's outputs, through the engine's batchers."""

from __future__ import annotations

import math

import numpy as np

from app.batcher import MicroBatcher
from app.engine import Engine
from app.errors import InvalidFieldError
from app.offload import Offload
from app.oip.signatures import Kind, Signature
from app.permit import Permit
from model.pixels import Floats

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
        InvalidFieldError: a row's answer has values that are no finite numbers.
        ServiceError: as the permit and the batchers raise.
    """
    permit.take(engine, _cost(engine, kind, rows))
    answer = await _batcher(engine, kind)(rows)
    outputs = {
        tensor.name: output
        for tensor, output in zip(signature.outputs, answer.outputs, strict=True)
    }
    for name, output in outputs.items():
        await offload(output.size, _check_finite, signature.input.name, name, output)
    return outputs


def _cost(engine: Engine, kind: Kind, rows: Floats) -> int:
    """Pixels over all stages: those of the pictures that go in, or come out."""
    pixels = engine.row_pixels if kind == "decoder" else math.prod(rows.shape[2:])
    return len(rows) * pixels * _STAGES[kind]


def _batcher(engine: Engine, kind: Kind) -> MicroBatcher:
    if kind == "encoder":
        return engine.encode_tensors
    return engine.decode_tensors if kind == "decoder" else engine.reconstruct_tensors


def _check_finite(source: str, name: str, output: Floats) -> None:
    finite = np.isfinite(output)
    if finite.all():
        return
    row = int(np.argmin(finite.reshape(len(output), -1).all(axis=1)))
    msg = f"row {row} of {source!r} makes {name} that are no finite numbers; send smaller values"
    raise InvalidFieldError(msg, field=source, index=row)
