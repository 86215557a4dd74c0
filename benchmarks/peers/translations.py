"""Translates this service's requests for the peers, and their responses back."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from typing import Any

import orjson

from benchmarks.load.workloads import JSON, Workload


def to_litserve(workload: Workload) -> Workload | None:
    """For one route with all verbs, which takes JSON, or a form with the verb as a part."""
    if _is_form(workload):
        boundary = workload.content_type.partition("boundary=")[2].encode()
        head = b'--%s\r\nContent-Disposition: form-data; name="verb"\r\n\r\n' % boundary
        body = head + workload.verb.encode() + b"\r\n" + workload.body
        return replace(workload, path="/predict", body=body)
    asked: dict[str, Any] = {"verb": workload.verb}
    if workload.verb == "sample":
        asked |= orjson.loads(workload.body)
    else:
        asked["image"] = base64.b64encode(workload.image).decode()
    return replace(workload, path="/predict", content_type=JSON, body=orjson.dumps(asked))


def to_mlserver(workload: Workload) -> Workload | None:
    """For the Open Inference Protocol's `infer`, which has no forms."""
    if _is_form(workload):
        return None
    if workload.verb == "sample":
        options = orjson.loads(workload.body)
        inputs = [
            _input("n", "INT64", options["n"]),
            _input("seed", "INT64", options.get("seed", -1)),
        ]
    else:
        image = base64.b64encode(workload.image).decode()
        inputs = [_input("image", "BYTES", image, content_type="base64")]
    return replace(
        workload,
        path=f"/v2/models/{workload.verb}/infer",
        content_type=JSON,
        accept=JSON,
        body=orjson.dumps({"inputs": inputs}),
    )


def from_mlserver(workload: Workload, content: bytes) -> bytes:
    """The image, or the posterior in this service's JSON."""
    outputs = {one["name"]: one for one in orjson.loads(content)["outputs"]}
    if workload.verb == "encode":
        return orjson.dumps({name: _nested(outputs[name]) for name in ("mean", "logvar")})
    return base64.b64decode(outputs["images"]["data"][0])


def _is_form(workload: Workload) -> bool:
    return workload.content_type.startswith("multipart/")


def _input(name: str, datatype: str, value: int | str, **parameters: str) -> dict[str, Any]:
    tensor = {"name": name, "datatype": datatype, "shape": [1], "data": [value]}
    return tensor | ({"parameters": parameters} if parameters else {})


def _nested(tensor: dict[str, Any]) -> list[list[float]]:
    """A flat tensor's rows."""
    width = math.prod(tensor["shape"][1:])
    data = tensor["data"]
    return [data[at : at + width] for at in range(0, len(data), width)]
