"""What one writes in an evening: FastAPI and onnxruntime, a run for each request, no batching.

Done as the documentation of both says: the blocking work in FastAPI's thread pool (a `def` route
for `/sample`; `/reconstruct` awaits its raw body and hands the rest to the pool), onnxruntime
with its default threads, Pillow's PNG with its default settings, NumPy's own generator for the
latents, uvicorn with uvloop and httptools, and its access log as it is by default.
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

# Read when onnxruntime is imported: its official builds otherwise report usage.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

Floats = NDArray[np.float32]


class SampleRequest(BaseModel):
    """Only as much of the real service's options as the comparison needs."""

    n: int = Field(1, ge=1, le=1)
    seed: int | None = None


def create_app(bundle: Path) -> FastAPI:
    """The application over the bundle in a folder."""
    encoder = ort.InferenceSession(bundle / "encoder.onnx", providers=["CPUExecutionProvider"])
    decoder = ort.InferenceSession(bundle / "decoder.onnx", providers=["CPUExecutionProvider"])
    latent_dim: int = decoder.get_inputs()[0].shape[1]
    _, channels, height, width = encoder.get_inputs()[0].shape
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/sample")
    def sample(options: SampleRequest) -> Response:
        generator = np.random.default_rng(options.seed)
        latent = generator.standard_normal((options.n, latent_dim), dtype=np.float32)
        return _png(_pixels(decoder, latent))

    @app.post("/reconstruct")
    async def reconstruct(request: Request) -> Response:
        return await run_in_threadpool(run, await request.body())

    def run(body: bytes) -> Response:
        picture = Image.open(io.BytesIO(body)).convert("L" if channels == 1 else "RGB")
        grey = np.asarray(picture.resize((width, height)), dtype=np.float32) / 255
        image = np.ascontiguousarray(grey.reshape(1, height, width, channels).transpose(0, 3, 1, 2))
        mean = encoder.run(["mean"], {"image": image})[0]
        return _png(_pixels(decoder, mean))

    return app


def _pixels(decoder: Any, latent: Floats) -> Floats:  # noqa: ANN401 onnxruntime ships no types
    pixels: Floats = decoder.run(["pixels"], {"latent": latent})[0]
    return pixels


def _png(pixels: Floats) -> Response:
    image = np.rint(pixels[0].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return Response(file.getvalue(), media_type="image/png")


def main() -> None:
    """Serves one bundle."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.naive", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(create_app(options.bundle), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
