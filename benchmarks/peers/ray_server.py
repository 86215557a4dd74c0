"""A bundle behind Ray Serve: one FastAPI deployment for all verbs, a replica for each core."""

# Ray Serve pickles the routes when the class is decorated: everything that they use must be defined
# above it, without `from __future__ import annotations`.
import argparse
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import ray
from fastapi import Body, FastAPI, Response, UploadFile
from pydantic import BaseModel
from ray import serve

from benchmarks.servers.baseline import Floats, OnnxNetworks, Shapes, answer

app = FastAPI()


def _images(pixels: Floats) -> Response:
    body, media_type = answer(pixels)
    return Response(body, media_type=media_type)


class SampleRequest(BaseModel):
    """Options of `/sample`."""

    n: int = 1
    seed: int | None = None


class EncodeAnswer(BaseModel):
    """The posterior's parameters, [n, d] each."""

    mean: list[list[float]]
    logvar: list[list[float]]


@serve.deployment(ray_actor_options={"num_cpus": 1})
@serve.ingress(app)
class Vae:
    """All verbs of one bundle."""

    def __init__(self, bundle: str) -> None:
        self.networks = OnnxNetworks(Path(bundle), threads=1)
        self.shapes = Shapes(Path(bundle))

    @app.get("/readyz")
    async def ready(self) -> dict[str, str]:
        """Responds once a replica runs."""
        return {"status": "ready"}

    @app.post("/sample")
    async def sample(self, options: SampleRequest) -> Response:
        """Images from the prior."""
        return _images(self.networks.decode(self.shapes.latents(options.n, options.seed)))

    @app.post("/reconstruct")
    async def reconstruct(self, image: Annotated[bytes, Body()]) -> Response:
        """A raw image's reconstruction."""
        return self._reconstruct(image)

    @app.post("/reconstruct-upload")
    async def reconstruct_upload(self, images: UploadFile) -> Response:
        """A form's image's reconstruction."""
        return self._reconstruct(await images.read())

    @app.post("/encode")
    async def encode(self, image: Annotated[bytes, Body()]) -> EncodeAnswer:
        """A raw image's posterior."""
        mean, logvar = self.networks.encode(self.shapes.read_image(image))
        return EncodeAnswer(mean=mean.tolist(), logvar=logvar.tolist())

    def _reconstruct(self, content: bytes) -> Response:
        mean, _ = self.networks.encode(self.shapes.read_image(content))
        return _images(self.networks.decode(mean))


def main() -> None:
    """Serves one bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--max-ongoing-requests", type=int, required=True)
    options = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ray.init(num_cpus=options.replicas, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    deployment: Any = Vae
    deployment = deployment.options(
        num_replicas=options.replicas,
        max_ongoing_requests=options.max_ongoing_requests,
        logging_config={"enable_access_log": False},
    )
    serve.run(deployment.bind(str(options.bundle.resolve())))
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
