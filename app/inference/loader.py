"""Bundle → checked, warm onnxruntime sessions. Blocking; the registry calls it in a thread."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import DECODER, ENCODER, MANIFEST, Bundle, BundleError
from model.bundle.golden import compare, read_golden
from model.bundle.manifest import VARIES, GraphSpec, TensorSpec
from model.runtime import CPU, CUDA, Graph, GraphError, choose_provider

logger = logging.getLogger(__name__)

SLOW_ROW_SECONDS = 0.05
_WARM_RUNS = 3

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle's graphs, checked and warm; not yet bound to an event loop."""

    bundle: Bundle
    provider: str
    encoder: Graph
    decoder: Graph
    encoder_row_seconds: float
    decoder_row_seconds: float
    own_lane: bool
    """Rows so slow on one core that all cores work on each, or rows that run on a GPU."""

    @property
    def name(self) -> str:
        """The model's name, which is that of the version's parent folder."""
        return self.bundle.folder.parent.name

    @property
    def version(self) -> int:
        return int(self.bundle.folder.name)


def load(bundle: Bundle, wanted: Literal["auto", "cpu", "cuda"], *, cores: int) -> Loaded:
    """Makes the sessions, reproduces the golden batch, and measures one row.

    `auto` takes CUDA when onnxruntime offers it and it works, and says so when it does not.
    A model whose row takes longer than `SLOW_ROW_SECONDS` on one core gets a lane of its own
    and all cores.

    Args:
        bundle: the opened bundle.
        wanted: provider.
        cores: that one row may use.

    Raises:
        BundleError: a graph does not load, is not the one that the manifest describes, or
            does not reproduce the golden batch.
        GraphError: CUDA was asked for and does not work.
    """
    _check_tensors(bundle)
    provider = choose_provider(wanted)
    try:
        loaded = _load_on(bundle, provider, 1)
    except GraphError as error:
        if wanted != "auto" or provider == CPU:
            raise
        logger.warning("CUDA is offered and does not work, serving on the CPU: %s", error)
        loaded = _load_on(bundle, CPU, 1)
    if loaded.provider == CPU and loaded.own_lane and cores > 1:
        # However fast all cores together are: in a shared lane they would take turns with, and
        # be taken by, every other model.
        return replace(_load_on(bundle, CPU, cores), own_lane=True)
    return loaded


def _check_tensors(bundle: Bundle) -> None:
    """Checks that the manifest describes graphs that the engine can call."""
    manifest = bundle.manifest
    image, latent = manifest.input.axes, manifest.latent_axes
    for part, graph, source, targets in (
        ("encoder", manifest.encoder, image, {"mean": latent, "logvar": latent}),
        ("decoder", manifest.decoder, latent, {"pixels": image, "params": image}),
    ):
        where = f"{bundle.folder / MANIFEST}: {part}"
        if [tensor.shape for tensor in graph.inputs] != [source]:
            msg = f"{where}: has the inputs {_shapes(graph.inputs)}, expected one input {source}"
            raise BundleError(msg)
        shapes = {tensor.name: tensor.shape for tensor in graph.outputs}
        if shapes != targets:
            msg = f"{where}: has the outputs {_shapes(graph.outputs)}, expected {targets}"
            raise BundleError(msg)
    if manifest.likelihood and (manifest.latent.scaling, manifest.latent.shift) != (1.0, 0.0):
        raise BundleError(
            f"{bundle.folder / MANIFEST}: latent: scaling and shift must be 1 and 0 in a "
            "model with a likelihood, which is defined for the latents as trained"
        )


def _shapes(tensors: tuple[TensorSpec, ...]) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in tensors}


def _load_on(bundle: Bundle, provider: str, threads: int) -> Loaded:
    encoder = _graph(bundle, ENCODER, bundle.manifest.encoder, provider, threads)
    decoder = _graph(bundle, DECODER, bundle.manifest.decoder, provider, threads)
    golden = read_golden(bundle)
    _reproduce(bundle, provider, encoder, golden["image"], golden)
    _reproduce(bundle, provider, decoder, golden["latent"], golden)
    pixels = bundle.manifest.input.height * bundle.manifest.input.width
    # A golden batch may be smaller than the images that are served by default.
    rows = pixels / math.prod(golden["image"].shape[2:])
    encoding = rows * _seconds_of_a_row(encoder, golden["image"])
    decoding = rows * _seconds_of_a_row(decoder, golden["latent"])
    own_lane = provider == CUDA or max(encoding, decoding) > SLOW_ROW_SECONDS
    return Loaded(bundle, provider, encoder, decoder, encoding, decoding, own_lane)


def _graph(bundle: Bundle, file: str, spec: GraphSpec, provider: str, threads: int) -> Graph:
    try:
        graph = Graph(bundle.read(file), provider=provider, threads=threads)
    except GraphError as error:
        failure = GraphError if provider == CUDA else BundleError
        raise failure(f"{bundle.folder / file}: {error}") from error
    for direction, described, found in (
        ("inputs", spec.inputs, graph.inputs),
        ("outputs", spec.outputs, graph.outputs),
    ):
        wanted = [(tensor.name, "tensor(float)", tensor.shape) for tensor in described]
        got = [(name, dtype, _axes(shape)) for name, dtype, shape in found]
        if wanted != got:
            msg = f"{bundle.folder / file}: has the {direction} {got}, the manifest says {wanted}"
            raise BundleError(msg)
        if any(isinstance(shape[0], int) for _, _, shape in found):
            raise BundleError(f"{bundle.folder / file}: the batch axis of its {direction} is fixed")
    return graph


def _axes(shape: tuple[int | str | None, ...]) -> tuple[int, ...]:
    """The axes behind the batch; those with a name or an expression vary."""
    return tuple(axis if isinstance(axis, int) else VARIES for axis in shape[1:])


def _reproduce(
    bundle: Bundle, provider: str, graph: Graph, rows: Rows, golden: dict[str, Rows]
) -> None:
    tolerances = bundle.manifest.golden.tolerance.get(provider, {})
    try:
        answers = graph.run(rows)
    except Exception as error:  # onnxruntime's exceptions share no other base
        msg = f"{bundle.folder}: the golden batch can't be run on {provider}: {error}"
        raise BundleError(msg) from error
    for (name, _, _), answer in zip(graph.outputs, answers, strict=True):
        if name not in tolerances:
            msg = f"{bundle.folder}: the manifest has no tolerance for {name} on {provider}"
            raise BundleError(msg)
        try:
            compare(answer, golden[name], tolerances[name], "the golden batch")
        except ValueError as error:
            raise BundleError(f"{bundle.folder}: on {provider}, {name} {error}") from error


def _seconds_of_a_row(graph: Graph, rows: Rows) -> float:
    times = []
    for _ in range(_WARM_RUNS):
        started = time.perf_counter()
        graph.run(rows[:1])
        times.append(time.perf_counter() - started)
    return min(times)
