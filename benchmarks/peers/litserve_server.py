"""A bundle behind LitServe: one `LitAPI` for all verbs, batched by LitServe.

Every `LitAPI` has its own worker processes, and batching workers poll their queue a thousand times
a second. With a `LitAPI` for each verb the idle ones would use more than half a core.
"""

# LitServe passes annotations to FastAPI unresolved: no `from __future__ import annotations`.
import argparse
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import litserve as ls
import numpy as np
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import FormData

from benchmarks.servers.baseline import Floats, OnnxNetworks, Shapes, answer

Verb = Literal["sample", "reconstruct", "encode"]


class Asked(BaseModel):
    """A JSON body: `n` and `seed` for samples, else an image file in base64."""

    verb: Verb
    n: int = 1
    seed: int | None = None
    image: str = ""


@dataclass(frozen=True)
class Rows:
    """One request's part of a batch: the inputs of its network, later the outputs."""

    verb: Verb
    values: tuple[Floats, ...]


class Vae(ls.LitAPI):
    """All verbs of one bundle."""

    def __init__(self, bundle: Path, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self._bundle = bundle

    def setup(self, device: str) -> None:
        """Loads the bundle in each worker."""
        self.networks = OnnxNetworks(self._bundle, threads=1)
        self.shapes = Shapes(self._bundle)

    def decode_request(self, request: Request) -> Rows:
        """Latents or an image, from a form or a JSON body."""
        if isinstance(request, FormData):
            file = request["images"].file.read()
            return Rows(request["verb"], (self.shapes.read_image(file),))
        asked = Asked.model_validate(request)
        if asked.verb == "sample":
            return Rows("sample", (self.shapes.latents(asked.n, asked.seed),))
        return Rows(asked.verb, (self.shapes.read_image(base64.b64decode(asked.image)),))

    def batch(self, inputs: list[Rows]) -> list[Rows]:
        """A batch may contain requests of several verbs."""
        return inputs

    def predict(self, batch: list[Rows]) -> list[Rows]:
        """One run of the networks for each verb in the batch."""
        results: dict[int, Rows] = {}
        for verb in {rows.verb for rows in batch}:
            places = [place for place, rows in enumerate(batch) if rows.verb == verb]
            inputs = [batch[place].values[0] for place in places]
            ends = np.cumsum([len(rows) for rows in inputs])[:-1]
            outputs = [np.split(output, ends) for output in self._run(verb, inputs)]
            for place, *values in zip(places, *outputs, strict=True):
                results[place] = Rows(verb, tuple(values))
        return [results[place] for place in range(len(batch))]

    def _run(self, verb: Verb, inputs: Sequence[Floats]) -> tuple[Floats, ...]:
        rows = np.concatenate(inputs)
        if verb == "sample":
            return (self.networks.decode(rows),)
        mean, logvar = self.networks.encode(rows)
        return (mean, logvar) if verb == "encode" else (self.networks.decode(mean),)

    def unbatch(self, output: list[Rows]) -> list[Rows]:
        """The requests were never joined."""
        return output

    def encode_response(self, output: Rows) -> Response:
        """One image as PNG, several as `.npy`, a posterior as JSON."""
        if output.verb == "encode":
            mean, logvar = output.values
            return JSONResponse({"mean": mean.tolist(), "logvar": logvar.tolist()})
        body, media_type = answer(output.values[0])
        return Response(body, media_type=media_type)


def main() -> None:
    """Serves one bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--api-servers", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, required=True, help="requests")
    parser.add_argument("--batch-timeout", type=float, required=True, help="seconds")
    options = parser.parse_args()
    server = ls.LitServer(
        Vae(options.bundle, options.max_batch_size, options.batch_timeout),
        accelerator="cpu",
        workers_per_device=options.workers,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=options.api_servers,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
