"""Requests reach the peers in their own forms, and answers come back in this service's."""

from __future__ import annotations

import base64

import numpy as np
import orjson
import pytest

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.peers.translations import from_mlserver, to_litserve, to_mlserver
from benchmarks.servers.ours import forms_apart

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)


def asked(workload: Workload | None) -> dict[str, object]:
    """The body as JSON."""
    assert workload is not None
    assert workload.content_type == "application/json"
    body: dict[str, object] = orjson.loads(workload.body)
    return body


def test_litserve_takes_the_verb_in_the_body() -> None:
    """Options stand beside it, and an image in base64."""
    assert asked(to_litserve(workloads.sample(7, n=3))) == {"verb": "sample", "n": 3, "seed": 7}
    uploaded = workloads.encode(IMAGE)
    image = base64.b64encode(uploaded.image).decode()
    assert asked(to_litserve(uploaded)) == {"verb": "encode", "image": image}


def test_litserve_takes_the_verb_as_a_part_of_a_form() -> None:
    """The form stays one, with a part before the image's."""
    form = workloads.reconstruct_multipart(IMAGE)
    adapted = to_litserve(form)
    assert adapted is not None
    assert adapted.content_type == form.content_type
    assert adapted.body.endswith(form.body)
    added = adapted.body.removesuffix(form.body).split(b"\r\n")
    boundary = form.body.split(b"\r\n")[0]
    assert added == [
        boundary,
        b'Content-Disposition: form-data; name="verb"',
        b"",
        b"reconstruct",
        b"",
    ]


def test_mlserver_takes_tensors() -> None:
    """The verb is the model; a missing seed is -1, and an image is bytes in base64."""
    adapted = to_mlserver(workloads.sample(n=64))
    assert adapted is not None
    assert adapted.path == "/v2/models/sample/infer"
    tensors = [
        {"name": "n", "datatype": "INT64", "shape": [1], "data": [64]},
        {"name": "seed", "datatype": "INT64", "shape": [1], "data": [-1]},
    ]
    assert asked(adapted) == {"inputs": tensors}
    uploaded = workloads.reconstruct(IMAGE)
    body = asked(to_mlserver(uploaded))
    assert body["inputs"] == [
        {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [base64.b64encode(uploaded.image).decode()],
            "parameters": {"content_type": "base64"},
        }
    ]


def test_mlserver_is_not_asked_with_a_form() -> None:
    """Its protocol has none."""
    assert to_mlserver(workloads.reconstruct_multipart(IMAGE)) is None


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n"])
def test_mlservers_files_come_back_as_bytes(content: bytes) -> None:
    """The one element of the answer is the file."""
    output = {"name": "images", "data": [base64.b64encode(content).decode()]}
    answer = orjson.dumps({"outputs": [output]})
    assert from_mlserver(workloads.sample(), answer) == content


def test_mlservers_posterior_comes_back_in_rows() -> None:
    """Tensors are flat in its JSON."""
    outputs = [
        {"name": "mean", "shape": [2, 3], "data": [0, 1, 2, 3, 4, 5]},
        {"name": "logvar", "shape": [2, 1], "data": [6, 7]},
    ]
    answer = from_mlserver(workloads.encode(IMAGE), orjson.dumps({"outputs": outputs}))
    assert orjson.loads(answer) == {"mean": [[0, 1, 2], [3, 4, 5]], "logvar": [[6], [7]]}


def test_forms_have_a_route_of_their_own() -> None:
    """Everything else is asked as it is."""
    assert forms_apart(workloads.sample()) == workloads.sample()
    adapted = forms_apart(workloads.reconstruct_multipart(IMAGE))
    assert adapted is not None
    assert adapted.path == "/reconstruct-upload"
