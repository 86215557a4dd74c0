"""A bundle of a few ONNX nodes whose results can be computed by hand.

Encoder: the first latent's mean is the image's average, the second's its first pixel; every
log-variance is 0. Decoder: `params` is the first latent everywhere, `pixels` the same cut to
[0, 1]. The likelihood is a Gaussian of scale 1. So an image of one grey level g reconstructs as
itself, with KL = (g² + g²)/2. The Bernoulli variant takes `params` as logits instead: `pixels` is
their sigmoid.

The exact variant's encoder gives the true posterior of the first latent, N(16 g/17, 1/17) for grey
level g, and the prior of the second, which the decoder does not look at. Every importance weight
is then p(x) itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from model.bundle.bundle import CARD, DECODER, ENCODER, GOLDEN, Bundle, write_bundle
from model.bundle.manifest import (
    Binarisation,
    DataSpec,
    GoldenSpec,
    GraphSpec,
    InputSpec,
    LatentSpec,
    LikelihoodSpec,
    Manifest,
    PosteriorSpec,
    PriorSpec,
    ReferenceSpec,
    TensorSpec,
    WeightsSpec,
)
from model.bundle.posterior import POSTERIOR, Labels, write_posterior
from model.bundle.reference import REFERENCE, SAMPLES, write_reference
from model.pixels import Floats
from model.prior.mixture import PRIOR, Mixture, write_mixture
from model.runtime import CPU, CUDA

SIZE = 4
LATENT = 2
_OPSET = 18


Stored = Mapping[Binarisation, Sequence[float]]
"""Bounds for a bundle's reference."""


def write(
    root: Path,
    *,
    name: str = "arithmetic",
    version: int = 1,
    reference: Stored | None = None,
    mixture: Mixture | None = None,
    posterior: tuple[Floats, Labels] | None = None,
    page: str | bytes | None = None,
    **changes: Any,
) -> Bundle:
    """Writes the bundle below `root`; `changes` replace members of its manifest.

    Args:
        root: the repository.
        name, version: of the model.
        reference: bounds to keep.
        mixture: the prior, where it is not N(0, I).
        posterior: means [n, 2] and labels [n] to keep; the classes are called zero and one.
        page: of `card.md`.
        changes: see above.
    """
    files = {ENCODER: encoder(), DECODER: decoder(), GOLDEN: golden()}
    if mixture:
        files[PRIOR] = write_mixture(mixture)
        changes["prior"] = PriorSpec(family="mixture", components=len(mixture.weights))
    if posterior is not None:
        files[POSTERIOR] = write_posterior(*posterior)
        changes["posterior"] = PosteriorSpec(
            split="test", fingerprint="none", n=len(posterior[0]), classes=("zero", "one")
        )
    if page is not None:
        files[CARD] = page.encode() if isinstance(page, str) else page
    return _write(root, manifest(name, version, **changes), files, reference)


def write_exact(root: Path, *, name: str = "exact") -> Bundle:
    """Writes the variant whose encoder gives the true posterior."""
    with np.load(io.BytesIO(golden())) as arrays:
        average = arrays["mean"][:, 0]
    mean = np.stack([average * np.float32(16 / 17), np.zeros_like(average)], axis=1)
    logvar = np.tile(np.array([-math.log(17), 0], np.float32), (2, 1))
    files = {
        ENCODER: encoder(exact=True),
        DECODER: decoder(),
        GOLDEN: golden(mean=mean, logvar=logvar),
    }
    return write_bundle(root, manifest(name), files)


def write_bernoulli(
    root: Path, *, name: str = "coins", version: int = 1, reference: Stored | None = None
) -> Bundle:
    """Writes the Bernoulli variant, trained with sampled binarisation."""
    spec = LikelihoodSpec(family="bernoulli", dimensions=SIZE * SIZE, binarise="sample")
    latent = np.array([[0.25, 9.0], [1.5, -9.0]], dtype=np.float32)
    logits = np.broadcast_to(latent[:, :1, None, None], (2, 1, SIZE, SIZE))
    files = {
        ENCODER: encoder(),
        DECODER: decoder(bernoulli=True),
        GOLDEN: golden(pixels=np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)),
    }
    return _write(root, manifest(name, version, likelihood=spec), files, reference)


def _write(
    root: Path, whole: Manifest, files: dict[str, bytes], reference: Stored | None
) -> Bundle:
    if reference is None:
        return write_bundle(root, whole, files)
    bounds = {how: np.array(values, dtype=np.float64) for how, values in reference.items()}
    [n] = {len(values) for values in bounds.values()}
    spec = ReferenceSpec(
        split="test", fingerprint="none", n=n, samples=SAMPLES, seed=0, binarised=tuple(bounds)
    )
    described = whole.model_copy(update={"reference": spec})
    return write_bundle(root, described, files | {REFERENCE: write_reference(bounds)})


def manifest(name: str = "arithmetic", version: int = 1, **changes: Any) -> Manifest:
    """The manifest without its list of files."""
    image = (1, SIZE, SIZE)
    outputs = ("mean", "logvar", "pixels", "params")
    tolerances = {provider: dict.fromkeys(outputs, 1e-4) for provider in (CPU, CUDA)}
    members: dict[str, Any] = {
        "name": name,
        "version": version,
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "tools": {"onnx": "test"},
        "opset": _OPSET,
        "input": InputSpec(channels=1, height=SIZE, width=SIZE, order="L"),
        "latent": LatentSpec(shape=(LATENT,)),
        "encoder": _graph("image", image, ("mean", "logvar"), (LATENT,)),
        "decoder": _graph("latent", (LATENT,), ("pixels", "params"), image),
        "likelihood": LikelihoodSpec(family="gaussian", dimensions=SIZE * SIZE, scale=1.0),
        "objective": {"name": "none"},
        "network": {"architecture": "arithmetic"},
        "weights": WeightsSpec(kind="raw", step=0),
        "data": DataSpec(id="none", fingerprint="none", split="none"),
        "metrics": {},
        "golden": GoldenSpec(tolerance=tolerances),
        "licence": "Apache-2.0",
        "card": "For tests.",
    }
    return Manifest(**members | changes)


def encoder(*, exact: bool = False) -> bytes:
    """image [n, 1, 4, 4] → mean, logvar [n, 2]."""
    factors = (16 / 17, 0.0) if exact else (1.0, 1.0)
    offsets = (-math.log(17), 0.0) if exact else (0.0, 0.0)
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["average"], keepdims=0),
        helper.make_node("Unsqueeze", ["average", "one"], ["first"]),
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "one", "one"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "factors"], ["mean"]),
        helper.make_node("Mul", ["both", "nothing"], ["nothings"]),
        helper.make_node("Add", ["nothings", "offsets"], ["logvar"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("factors", TensorProto.FLOAT, [2], factors),
        helper.make_tensor("offsets", TensorProto.FLOAT, [2], offsets),
    ]
    return _model(
        nodes,
        constants,
        {"image": ["batch", 1, SIZE, SIZE]},
        {"mean": ["batch", LATENT], "logvar": ["batch", LATENT]},
    )


def decoder(*, bernoulli: bool = False) -> bytes:
    """latent [n, 2] → pixels, params [n, 1, 4, 4]."""
    shown = (
        helper.make_node("Sigmoid", ["params"], ["pixels"])
        if bernoulli
        else helper.make_node("Clip", ["params", "low", "high"], ["pixels"])
    )
    image = ["batch", 1, SIZE, SIZE]
    nodes = [
        helper.make_node("Slice", ["latent", "zero", "one", "one"], ["level"]),
        helper.make_node("Reshape", ["level", "column"], ["spot"]),
        helper.make_node("Expand", ["spot", "picture"], ["params"]),
        shown,
    ]
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("column", TensorProto.INT64, [4], [-1, 1, 1, 1]),
        helper.make_tensor("picture", TensorProto.INT64, [4], [1, 1, SIZE, SIZE]),
        helper.make_tensor("low", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("high", TensorProto.FLOAT, [], [1.0]),
    ]
    return _model(
        nodes, constants, {"latent": ["batch", LATENT]}, {"pixels": image, "params": image}
    )


def golden(**changes: NDArray[np.float32]) -> bytes:
    """The golden batch, computed with NumPy instead of onnxruntime."""
    image = np.linspace(0, 1, 2 * SIZE * SIZE, dtype=np.float32).reshape(2, 1, SIZE, SIZE)
    mean = np.stack([image.mean(axis=(1, 2, 3)), image[:, 0, 0, 0]], axis=1)
    latent = np.array([[0.25, 9.0], [1.5, -9.0]], dtype=np.float32)
    params = np.broadcast_to(latent[:, :1, None, None], image.shape)
    arrays = {
        "image": image,
        "mean": mean,
        "logvar": np.zeros_like(mean),
        "latent": latent,
        "pixels": np.clip(params, 0, 1),
        "params": params,
    }
    file = io.BytesIO()
    np.savez(file, **arrays | changes)  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return file.getvalue()


def _graph(
    source: str, source_shape: tuple[int, ...], targets: tuple[str, ...], shape: tuple[int, ...]
) -> GraphSpec:
    return GraphSpec(
        inputs=(TensorSpec(name=source, shape=source_shape),),
        outputs=tuple(TensorSpec(name=name, shape=shape) for name in targets),
    )


def _model(
    nodes: list[Any], constants: list[Any], inputs: dict[str, Any], outputs: dict[str, Any]
) -> bytes:
    def values(shapes: dict[str, Any]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(
        nodes, "arithmetic", values(inputs), values(outputs), initializer=constants
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10
    )
    return bytes(model.SerializeToString())
