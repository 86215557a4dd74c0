"""Describes the server, its models and its repository in the protocol's terms."""

from __future__ import annotations

from collections.abc import Iterable

from app.inference.engine import Engine
from app.protocols.oip.model_names import Derived, Tensor, derived_of
from app.protocols.oip.tensors import DATATYPE
from app.registry.versions import Model, Version
from model.runtime import CUDA

SERVER = "vaeserve"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"

EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")
REPOSITORY_EXTENSION = "model_repository"

Members = dict[str, object]

_STATES = {
    "loading": "LOADING",
    "ready": "READY",
    "unloading": "UNLOADING",
    "unloaded": "UNAVAILABLE",
    "unavailable": "UNAVAILABLE",
}


def server(version: str, *, repository_api: bool) -> Members:
    """Returns the server's metadata with its enabled extensions."""
    extensions = [*EXTENSIONS, *([REPOSITORY_EXTENSION] if repository_api else [])]
    return {"name": SERVER, "version": version, "extensions": extensions}


def metadata(derived: Derived, engine: Engine, versions: Iterable[int]) -> Members:
    """Returns a model's metadata; `versions` are the serving ones."""
    signature = derived.signature(engine.manifest)
    return {
        "name": derived.name,
        "versions": [str(version) for version in sorted(versions)],
        "platform": PLATFORM,
        "inputs": [_tensor(signature.input)],
        "outputs": [_tensor(output) for output in signature.outputs],
    }


def _tensor(tensor: Tensor) -> Members:
    return {"name": tensor.name, "datatype": DATATYPE, "shape": tensor.batched}


def config(derived: Derived, engine: Engine, max_rows: int) -> Members:
    """Returns a model's configuration in Triton's form; `dims` leave out the batch axis."""
    signature = derived.signature(engine.manifest)
    parameters = {"value_range": _listed(engine.manifest.input.value_range)}
    if taken := engine.manifest.input.sizes:
        parameters["sizes"] = str(taken)
    parameters["bundle"] = engine.identity
    return {
        "name": derived.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"all": {}},
        "max_batch_size": max_rows,
        "input": [_configured(signature.input)],
        "output": [_configured(output) for output in signature.outputs],
        "instance_group": [
            {
                "name": derived.name,
                "kind": "KIND_GPU" if engine.provider == CUDA else "KIND_CPU",
                "count": 1,
            }
        ],
        "dynamic_batching": {},
        "parameters": {name: {"string_value": text} for name, text in parameters.items()},
    }


def _listed(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _configured(tensor: Tensor) -> Members:
    return {"name": tensor.name, "data_type": f"TYPE_{DATATYPE}", "dims": list(tensor.shape)}


def index(models: Iterable[Model], *, only_ready: bool) -> list[Members]:
    """Returns every version of every model with its state."""
    return [
        {
            "name": derived.name,
            "version": str(version.number),
            "state": _STATES.get(version.state, "UNKNOWN"),
            "reason": _reason(version),
        }
        for model in models
        for derived in derived_of(model.name)
        for version in model.versions
        if not only_ready or version.state == "ready"
    ]


def _reason(version: Version) -> str:
    return version.reason or ("unloaded" if version.state == "unloaded" else "")
