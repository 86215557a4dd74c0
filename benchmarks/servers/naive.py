"""A simple server without this project: FastAPI around a model, one run for each request.

It follows FastAPI's documentation, on uvicorn with uvloop and httptools. By default blocking work
runs in the thread pool, as in `def` routes, with onnxruntime's default threads, in one worker that
writes an access log. The options tune it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import uvicorn
from fastapi import Body, FastAPI, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from benchmarks.servers.baseline import Floats, Networks, OnnxNetworks, Shapes, answer

T = TypeVar("T")

_OPTIONS = "NAIVE_OPTIONS"


class SampleRequest(BaseModel):
    """The options of the real service that the comparison needs."""

    n: int = Field(1, ge=1, le=4096)
    seed: int | None = None


class EncodeAnswer(BaseModel):
    """The posterior's parameters, [n, d] each."""

    mean: list[list[float]]
    logvar: list[list[float]]


def create_app(networks: Networks, shapes: Shapes, *, inline: bool) -> FastAPI:
    """The application; `inline` runs everything on the event loop instead of the thread pool."""
    app = FastAPI()

    async def call(work: Callable[[], T]) -> T:
        return work() if inline else await run_in_threadpool(work)

    def reconstruction(content: bytes) -> Awaitable[Response]:
        def work() -> Response:
            mean, _ = networks.encode(shapes.read_image(content))
            return _images(networks.decode(mean))

        return call(work)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/sample")
    async def sample(options: SampleRequest) -> Response:
        return await call(lambda: _images(networks.decode(shapes.latents(options.n, options.seed))))

    @app.post("/reconstruct")
    async def reconstruct(image: Annotated[bytes, Body()]) -> Response:
        return await reconstruction(image)

    @app.post("/reconstruct-upload")
    async def reconstruct_upload(images: UploadFile) -> Response:
        return await reconstruction(await images.read())

    @app.post("/encode")
    async def encode(image: Annotated[bytes, Body()]) -> EncodeAnswer:
        def work() -> EncodeAnswer:
            mean, logvar = networks.encode(shapes.read_image(image))
            return EncodeAnswer(mean=mean.tolist(), logvar=logvar.tolist())

        return await call(work)

    return app


def _images(pixels: Floats) -> Response:
    body, media_type = answer(pixels)
    return Response(body, media_type=media_type)


def worker() -> FastAPI:
    """The application of a worker, by the command line of the process that started it."""
    options = json.loads(os.environ[_OPTIONS])
    bundle, threads = Path(options["bundle"]), options["threads"]
    if options["engine"] == "torch":
        from benchmarks.servers.torch_networks import TorchNetworks

        networks: Networks = TorchNetworks(bundle, threads)
    else:
        networks = OnnxNetworks(bundle, threads)
    return create_app(networks, Shapes(bundle), inline=options["routes"] == "inline")


def main() -> None:
    """Serves one bundle."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers.naive", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", choices=("onnxruntime", "torch"), default="onnxruntime")
    parser.add_argument("--routes", choices=("pool", "inline"), default="pool")
    parser.add_argument("--threads", type=int, help="threads of the engine (its own default)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-access-log", action="store_true")
    options = parser.parse_args()
    os.environ[_OPTIONS] = json.dumps(vars(options), default=str)
    uvicorn.run(
        "benchmarks.servers.naive:worker",
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        access_log=not options.no_access_log,
    )


if __name__ == "__main__":
    main()
