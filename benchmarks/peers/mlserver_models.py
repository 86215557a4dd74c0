"""A bundle behind MLServer: a model for each verb, in the Open Inference Protocol (V2) over JSON.

Images are sent as base64, the protocol's encoding of bytes in JSON. An output has one element for
each row of the inputs, so that MLServer can join and split requests.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from benchmarks.servers.baseline import Floats, OnnxNetworks, Shapes, answer


class _Verb(MLModel):
    """A model whose `uri` is the bundle's folder."""

    async def load(self) -> bool:
        """Loads the bundle in each worker."""
        bundle = Path(self.settings.parameters.uri)
        self.networks = OnnxNetworks(bundle, threads=1)
        self.shapes = Shapes(bundle)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Computes one request, or several that MLServer has joined."""
        return InferenceResponse(model_name=self.name, outputs=self.outputs(payload))

    @abstractmethod
    def outputs(self, payload: InferenceRequest) -> list[ResponseOutput]:
        """Tensors with a row for each row of the inputs."""

    def read_images(self, payload: InferenceRequest) -> Floats:
        """Input `image`, BYTES [rows]."""
        files = Base64Codec.decode_input(payload.inputs[0])
        return np.concatenate([self.shapes.read_image(file) for file in files])


class Sample(_Verb):
    """Inputs `n` and `seed`, INT64 [rows] (-1 for no seed) → output `images`, BYTES [rows]."""

    def outputs(self, payload: InferenceRequest) -> list[ResponseOutput]:
        """Each element is a PNG or an `.npy` file."""
        counts, seeds = (
            NumpyCodec.decode_input(one).reshape(-1).tolist() for one in payload.inputs
        )
        latents = [
            self.shapes.latents(n, None if seed < 0 else seed)
            for n, seed in zip(counts, seeds, strict=True)
        ]
        pixels = self.networks.decode(np.concatenate(latents))
        return _files(np.split(pixels, np.cumsum(counts)[:-1]))


class Reconstruct(_Verb):
    """Input `image`, BYTES [rows] → output `images`, BYTES [rows]."""

    def outputs(self, payload: InferenceRequest) -> list[ResponseOutput]:
        """Each element is a PNG file."""
        mean, _ = self.networks.encode(self.read_images(payload))
        pixels = self.networks.decode(mean)
        return _files([pixels[row : row + 1] for row in range(len(pixels))])


class Encode(_Verb):
    """Input `image`, BYTES [rows] → outputs `mean` and `logvar`, FP32 [rows, d]."""

    def outputs(self, payload: InferenceRequest) -> list[ResponseOutput]:
        """The posterior's parameters."""
        mean, logvar = self.networks.encode(self.read_images(payload))
        return [
            NumpyCodec.encode_output("mean", mean),
            NumpyCodec.encode_output("logvar", logvar),
        ]


def _files(images: list[Floats]) -> list[ResponseOutput]:
    return [Base64Codec.encode_output("images", [answer(rows)[0] for rows in images])]
