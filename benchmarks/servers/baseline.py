"""The model side of every other server in the comparison: onnxruntime and Pillow.

All of them share it, so that they differ only in serving. It imports nothing of `app` or `model`,
because the peers' environments lack their dependencies.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# onnxruntime reads it on import; its official builds report usage otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]

PNG = "image/png"
NPY = "application/x-npy"


class Networks(Protocol):
    """A VAE whose pixels lie in [0, 1]."""

    def encode(self, images: Floats) -> tuple[Floats, Floats]:
        """Images [n, c, h, w] → mean and logvar, [n, d] each."""

    def decode(self, latents: Floats) -> Floats:
        """Latents [n, d] → pixels [n, c, h, w]."""


class OnnxNetworks:
    """A bundle's graphs.

    Args:
        bundle: the bundle's folder.
        threads: of each session, without spinning; None for onnxruntime's defaults.
    """

    def __init__(self, bundle: Path, threads: int | None) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")

        def session(file: str) -> Any:  # noqa: ANN401 onnxruntime ships no types
            path = bundle / file
            return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        self._encoder, self._decoder = session("encoder.onnx"), session("decoder.onnx")

    def encode(self, images: Floats) -> tuple[Floats, Floats]:
        mean, logvar = self._encoder.run(["mean", "logvar"], {"image": images})
        return mean, logvar

    def decode(self, latents: Floats) -> Floats:
        pixels: Floats = self._decoder.run(["pixels"], {"latent": latents})[0]
        return pixels


class Shapes:
    """The shapes of a bundle's images and latents, by its manifest."""

    def __init__(self, bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        self.channels: int = manifest["input"]["channels"]
        self.size: tuple[int, int] = (manifest["input"]["width"], manifest["input"]["height"])
        self.latent: tuple[int, ...] = tuple(manifest["latent"]["shape"])

    def latents(self, n: int, seed: int | None) -> Floats:
        """n draws from N(0, I)."""
        generator = np.random.default_rng(seed)
        return generator.standard_normal((n, *self.latent), dtype=np.float32)

    def read_image(self, content: bytes) -> Floats:
        """An image file as [1, c, h, w] in [0, 1], scaled to the model's size."""
        return self.rows(Image.open(io.BytesIO(content)))

    def rows(self, opened: Image.Image) -> Floats:
        """An image as [1, c, h, w] in [0, 1], scaled to the model's size."""
        image = opened.convert("L" if self.channels == 1 else "RGB")
        if image.size != self.size:
            image = image.resize(self.size)
        pixels = np.asarray(image, dtype=np.float32) / 255
        rows = pixels.reshape(1, *reversed(self.size), self.channels).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(rows)


def answer(pixels: Floats) -> tuple[bytes, str]:
    """Pixels [n, c, h, w] as a body and its media type: one image as PNG, several as `.npy`."""
    images = to_images(pixels)
    return (png(images[0]), PNG) if len(images) == 1 else (npy(images), NPY)


def to_images(pixels: Floats) -> Images:
    """[n, c, h, w] in [0, 1] → uint8 [n, h, w, c]."""
    return np.rint(pixels.transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)


def png(image: Images) -> bytes:
    """uint8 [h, w, c] as a PNG of Pillow's default compression."""
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()


def npy(array: NDArray[Any]) -> bytes:
    """The array as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
