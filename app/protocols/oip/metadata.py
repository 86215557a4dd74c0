"""Describes the server, its models and its repository in the protocol's terms."""

from __future__ import annotations

from collections.abc import Iterable

from app.inference.engine import Engine
from app.protocols.oip.model_names import VARIABLE, Derived, Tensor, derived_of
from app.protocols.oip.tensors import DATATYPE, Members
from app.registry.catalog import Model
from app.registry.versions import State
from model.runtime import CUDA

SERVER = "vaeserve"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"

EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")
REPOSITORY_EXTENSION = "model_repository"

_STATES: dict[State, str] = {
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
    return {"name": tensor.name, "datatype": DATATYPE, "shape": [VARIABLE, *tensor.shape]}


def config(derived: Derived, engine: Engine, max_rows: int) -> Members:
    """Returns a model's configuration in Triton's form; `dims` leave out the batch axis."""
    signature = derived.signature(engine.manifest)
    low, high = engine.manifest.input.value_range
    parameters = {"value_range": f"{low:g},{high:g}"}
    if taken := engine.manifest.input.sizes:
        parameters["sizes"] = str(taken)
    parameters["bundle"] = engine.identity
    device = "KIND_GPU" if engine.provider == CUDA else "KIND_CPU"
    return {
        "name": derived.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"all": {}},
        "max_batch_size": max_rows,
        "input": [_configured(signature.input)],
        "output": [_configured(output) for output in signature.outputs],
        "instance_group": [{"name": derived.name, "kind": device, "count": 1}],
        "dynamic_batching": {},
        "parameters": {name: {"string_value": text} for name, text in parameters.items()},
    }


def _configured(tensor: Tensor) -> Members:
    return {"name": tensor.name, "data_type": f"TYPE_{DATATYPE}", "dims": list(tensor.shape)}


def index(models: Iterable[Model], *, only_ready: bool) -> list[Members]:
    """Returns every version of every model with its state."""
    return [
        {
            "name": derived.name,
            "version": str(version.number),
            "state": _STATES[version.state],
            "reason": version.reason or ("unloaded" if version.state == "unloaded" else ""),
        }
        for model in models
        for derived in derived_of(model.name)
        for version in model.versions
        if not only_ready or version.state == "ready"
    ]
