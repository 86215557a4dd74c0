"""A bundle behind BentoML: `bentoml serve benchmarks.peers.bentoml_service:Vae --arg bundle=…`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml
from PIL.Image import Image
from pydantic import BaseModel
from starlette.responses import Response

from benchmarks.servers.baseline import Floats, OnnxNetworks, Shapes, answer


class Arguments(BaseModel):
    """The arguments of the command line."""

    bundle: str
    workers: int


_ARGUMENTS = bentoml.use_arguments(Arguments)


@bentoml.service(
    workers=_ARGUMENTS.workers,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Vae:
    """All verbs of one bundle; `async` routes run on the event loop, others in a thread.

    BentoML sends a Starlette response unchanged, and has no type for it.
    """

    def __init__(self) -> None:
        bundle = Path(_ARGUMENTS.bundle)
        self.networks = OnnxNetworks(bundle, threads=1)
        self.shapes = Shapes(bundle)

    @bentoml.api(route="/sample")
    async def sample(self, n: int = 1, seed: int | None = None) -> Any:  # noqa: ANN401
        """Images from the prior."""
        return _images(self.networks.decode(self.shapes.latents(n, seed)))

    @bentoml.api(route="/reconstruct")
    async def reconstruct(self, image: bytes, /) -> Any:  # noqa: ANN401
        """The reconstruction of a raw image."""
        return self._reconstruct(self.shapes.read_image(image))

    @bentoml.api(route="/reconstruct-upload")
    async def reconstruct_upload(self, images: Image) -> Any:  # noqa: ANN401
        """The reconstruction of a form's image; BentoML can't read bytes from a form."""
        return self._reconstruct(self.shapes.rows(images))

    @bentoml.api(route="/encode")
    async def encode(self, image: bytes, /) -> dict[str, list[list[float]]]:
        """The posterior of a raw image."""
        mean, logvar = self.networks.encode(self.shapes.read_image(image))
        return {"mean": mean.tolist(), "logvar": logvar.tolist()}

    def _reconstruct(self, image: Floats) -> Response:
        mean, _ = self.networks.encode(image)
        return _images(self.networks.decode(mean))


def _images(pixels: Floats) -> Response:
    body, media_type = answer(pixels)
    return Response(body, media_type=media_type)
