"""A bundle of latent maps of any size whose results can be computed by hand.

Images are RGB in −1 … 1. Encoder: a latent's entry is the mean of 2×2 pixels, channel by channel;
every log-variance is 0. Decoder: each entry becomes 2×2 pixels, not clamped. So an image made of
2×2 blocks reconstructs as itself. What is served is (z − ¼) · ½.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, write_bundle
from model.bundle.layout import VARIES, GraphSpec, InputSpec, LatentSpec, SizesSpec, TensorSpec
from model.bundle.manifest import Manifest
from tests import arithmetic_bundle

FACTOR = 2
SCALING, SHIFT = 0.5, 0.25
SIZES = SizesSpec(min=4, max=32, multiple=4)
HEIGHT, WIDTH = 8, 12
_OPSET = 18


def write(root: Path, *, name: str = "maps", version: int = 1, **changes: Any) -> Bundle:
    """Writes the bundle below `root`; `changes` replace members of its manifest."""
    files = {ENCODER: encoder(), DECODER: decoder(), GOLDEN: golden()}
    return write_bundle(root, manifest(name, version, **changes), files)


def manifest(name: str = "maps", version: int = 1, **changes: Any) -> Manifest:
    """The manifest without its list of files."""
    image = (3, VARIES, VARIES)
    members: dict[str, Any] = {
        "input": InputSpec(
            channels=3,
            height=HEIGHT,
            width=WIDTH,
            order="RGB",
            value_range=(-1.0, 1.0),
            sizes=SIZES,
        ),
        "latent": LatentSpec(
            shape=(3, HEIGHT // FACTOR, WIDTH // FACTOR),
            factor=FACTOR,
            scaling=SCALING,
            shift=SHIFT,
        ),
        "encoder": _graph("image", image, ("mean", "logvar")),
        "decoder": _graph("latent", image, ("pixels", "params")),
        "likelihood": None,
    }
    return arithmetic_bundle.manifest(name, version, **members | changes)


def encoder() -> bytes:
    """image [n, 3, h, w] → mean, logvar [n, 3, h/2, w/2]."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["mean"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["mean", "nothing"], ["logvar"]),
    ]
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0])
    small = ["batch", 3, "rows", "columns"]
    return _model(
        nodes,
        [nothing],
        {"image": ["batch", 3, "height", "width"]},
        {"mean": small, "logvar": small},
    )


def decoder() -> bytes:
    """latent [n, 3, h, w] → pixels, params [n, 3, 2h, 2w]."""
    nodes = [
        helper.make_node("Resize", ["latent", "", "scales"], ["pixels"], mode="nearest"),
        helper.make_node("Identity", ["pixels"], ["params"]),
    ]
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 2.0, 2.0])
    large = ["batch", 3, "height", "width"]
    return _model(
        nodes,
        [scales],
        {"latent": ["batch", 3, "rows", "columns"]},
        {"pixels": large, "params": large},
    )


def golden() -> bytes:
    """The golden batch, computed with NumPy and smaller than the default size."""
    mean = np.linspace(-1, 1, 2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    image = enlarged(mean)
    arrays = {
        "image": image,
        "mean": mean,
        "logvar": np.zeros_like(mean),
        "latent": mean * 2,
        "pixels": image * 2,
        "params": image * 2,
    }
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return file.getvalue()


def enlarged(latents: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[Any]]:
    """[…, h, w] → […, 2h, 2w]: the decoder's result."""
    return latents.repeat(FACTOR, axis=-2).repeat(FACTOR, axis=-1)


def blocks(height: int, width: int, *, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A random image uint8 [height, width, 3] of 2×2 blocks, both sides even."""
    small = np.random.default_rng(seed).integers(
        0, 256, (height // FACTOR, width // FACTOR, 3), dtype=np.uint8
    )
    return small.repeat(FACTOR, axis=0).repeat(FACTOR, axis=1)


def _graph(source: str, shape: tuple[int, ...], targets: tuple[str, ...]) -> GraphSpec:
    return GraphSpec(
        inputs=(TensorSpec(name=source, shape=shape),),
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

    graph = helper.make_graph(nodes, "maps", values(inputs), values(outputs), initializer=constants)
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10
    )
    return bytes(model.SerializeToString())
