"""Bodies of inference requests, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from app.protocols.oip.model_names import Signature, Tensor
from app.protocols.oip.requests import HEADER_LENGTH
from model.pixels import Floats

IMAGE = Tensor("image", (1, 2, 3))
SIGNATURE = Signature(IMAGE, (Tensor("mean", (2,)), Tensor("logvar", (2,))))
ROW_BYTES = 24


def rows(n: int = 1) -> Floats:
    """Images 1×2×3 with a number of its own for each value."""
    return np.arange(6 * n, dtype=np.float32).reshape(n, 1, 2, 3)


def entry(array: Floats, **changes: Any) -> dict[str, Any]:
    """The entry of `inputs` for an array, as JSON data; a change to None leaves a member out."""
    members: dict[str, Any] = {
        "name": "image",
        "shape": list(array.shape),
        "datatype": "FP32",
        "data": array.ravel().tolist(),
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def as_json(array: Floats, **changes: Any) -> bytes:
    """A request whose tensor is JSON; `changes` replace members of the request."""
    return orjson.dumps({"inputs": [entry(array)]} | changes)


def as_binary(array: Floats, **changes: Any) -> tuple[bytes, int]:
    """A request whose tensor follows as bytes, and the length of its JSON."""
    parameters = {"binary_data_size": array.nbytes}
    head = orjson.dumps({"inputs": [entry(array, data=None, parameters=parameters)]} | changes)
    return head + array.tobytes(), len(head)


def length(size: int) -> dict[str, str]:
    """The header that says how long the JSON is."""
    return {HEADER_LENGTH: str(size)}
