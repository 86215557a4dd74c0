"""onnxruntime as training and serving use it: no telemetry, no spinning, providers named.

The only module that imports onnxruntime.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# The official builds report usage to their vendor since 1.29 unless this is set before import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_ERRORS_ONLY = 3


class GraphError(Exception):
    """onnxruntime can't make a session of a graph, or not on the wanted provider."""


class Graph:
    """One ONNX graph in one onnxruntime session; `run` may be called from several threads.

    Args:
        model: the serialised graph.
        provider: `CPU` or `CUDA`.
        threads: threads inside one run; batches already run side by side in several lanes.

    Raises:
        GraphError: the graph is not valid, or the provider does not take it.
    """

    def __init__(self, model: bytes, *, provider: str = CPU, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # A spinning pool burns a core while idle, and its neighbour's core while busy.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                model, options, providers=[(provider, _options_of(provider))]
            )
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise GraphError(f"onnxruntime can't load the graph: {error}") from error
        taken = self._session.get_providers()
        if taken[0] != provider:
            raise GraphError(f"onnxruntime used {taken[0]} instead of {provider}")
        self.inputs = tuple(_tensor(node) for node in self._session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in self._session.get_outputs())

    def run(
        self, rows: NDArray[np.float32], outputs: Sequence[str] | None = None
    ) -> list[NDArray[np.float32]]:
        """The named outputs (all, when None) for the graph's single input."""
        answer: list[NDArray[np.float32]] = self._session.run(outputs, {self.inputs[0][0]: rows})
        return answer


TensorInfo = tuple[str, str, tuple[int | str | None, ...]]
"""(name, onnxruntime's type such as "tensor(float)", shape with the batch axis)."""


def offers_cuda() -> bool:
    """Whether this onnxruntime was built for CUDA; says nothing of a device."""
    return CUDA in ort.get_available_providers()


def choose_provider(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """The provider to load graphs with.

    Raises:
        GraphError: CUDA was asked for and this onnxruntime does not offer it.
    """
    if wanted == "cpu" or (wanted == "auto" and not offers_cuda()):
        return CPU
    if not offers_cuda():
        offered = ", ".join(ort.get_available_providers())
        raise GraphError(
            f"CUDA was requested, but this onnxruntime has only {offered}; "
            "install onnxruntime-gpu, or set auto or cpu"
        )
    ort.preload_dlls()
    return CUDA


def _tensor(node: Any) -> TensorInfo:  # noqa: ANN401 onnxruntime ships no types
    return node.name, node.type, tuple(node.shape)


def _options_of(provider: str) -> dict[str, str]:
    # TF32 keeps 10 bits of the mantissa, which the tolerance for CUDA does not allow for.
    return {"use_tf32": "0"} if provider == CUDA else {}
