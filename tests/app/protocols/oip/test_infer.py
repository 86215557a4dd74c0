"""Bodies of inference responses: JSON, with bytes behind it where they were asked for."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response

from app.protocols.oip import infer
from app.protocols.oip.requests import HEADER_LENGTH, InferRequest
from model.pixels import Floats
from tests.app.protocols.oip.wire import rows

OUTPUTS: dict[str, Floats] = {
    "mean": np.array([[0.1, -3e38], [1e-45, 2]], np.float32),
    "logvar": np.array([[1, 2], [3, 4]], np.float32).T,
}
IDENTITY = ("a-encoder", 3)


def answer(*wanted: tuple[str, bool], encoding: str | None = None, **changes: Any) -> Response:
    asked = InferRequest(rows(2), dict(wanted), **changes)
    return infer.response(IDENTITY, asked, OUTPUTS, encoding)


def test_json_alone_has_no_header_for_its_length() -> None:
    """Without bytes the whole body is JSON, its numbers those of float32, row by row."""
    response = answer(("logvar", False), ("mean", False), id="x")
    document = json.loads(bytes(response.body))
    assert response.headers["content-type"] == "application/json"
    assert HEADER_LENGTH.lower() not in response.headers
    assert (document["id"], document["model_name"], document["model_version"]) == (
        "x",
        "a-encoder",
        "3",
    )
    first, second = document["outputs"]
    assert first == {"name": "logvar", "datatype": "FP32", "shape": [2, 2], "data": [1, 3, 2, 4]}
    read = np.array(second["data"], np.float32).reshape(second["shape"])
    assert read.tobytes() == OUTPUTS["mean"].tobytes()


def test_bytes_follow_the_json_in_the_order_of_the_outputs() -> None:
    """Each tensor's bytes are little-endian and row-major; tensors as JSON stand between them."""
    response = answer(("logvar", True), ("mean", True))
    content = bytes(response.body)
    length = int(response.headers[HEADER_LENGTH])
    document = json.loads(content[:length])
    assert response.headers["content-type"] == "application/octet-stream"
    assert "id" not in document
    assert [one["parameters"] for one in document["outputs"]] == [{"binary_data_size": 16}] * 2
    wanted = np.array([1, 3, 2, 4], "<f4").tobytes() + OUTPUTS["mean"].tobytes()
    assert content[length:] == wanted
    mixed = answer(("mean", False), ("logvar", True))
    assert len(mixed.body) == int(mixed.headers[HEADER_LENGTH]) + 16


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_says_so(encoding: str) -> None:
    """The header for the JSON's length is about what comes out of it."""
    plain, packed = answer(("mean", True)), answer(("mean", True), encoding=encoding)
    assert packed.headers["content-encoding"] == encoding
    assert packed.headers[HEADER_LENGTH] == plain.headers[HEADER_LENGTH]
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    if encoding == "gzip":
        assert gzip.decompress(bytes(packed.body)) == plain.body
