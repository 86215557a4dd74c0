"""`Client`: the client of a service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Self, TypeVar, Unpack

import httpx
from numpy.typing import ArrayLike

from vaeserve import requests, results
from vaeserve.calls import Call, Session
from vaeserve.errors import ProblemError
from vaeserve.images import ImagesLike
from vaeserve.requests import (
    AnimationOptions,
    ImagesSuffix,
    InterpolateOptions,
    Options,
    ReconstructOptions,
    Request,
    SampleOptions,
    ScoreOptions,
    WalkSuffix,
)
from vaeserve.results import Reply
from vaeserve.retries import Retries

T = TypeVar("T")

LOCAL = "http://127.0.0.1:8000"
"""Where the service listens by default."""


class Client:
    """A client of one service; threads may share it.

    Args:
        url: of the service, with its path if it is not at the root.
        model: for calls that name no model: `name` or `name/version`; the service's default
            model by default.
        deadline: seconds that one call may take, with all its requests, pauses and repetitions.
        retries: how requests are repeated after 429, 503 or a broken connection.
        headers: sent with every request, such as Authorization.
        transport: takes the requests to the service; a network connection by default.
        clock: monotonic time in seconds.
        sleep: waits for some seconds.

    Raises:
        ClientError: every call, if the service refuses or does not respond.
        ValueError, TypeError, OSError: every call, about arguments and files, before it sends.
    """

    def __init__(
        self,
        url: str = LOCAL,
        *,
        model: str | None = None,
        deadline: float = 60.0,
        retries: Retries | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = Session(model, deadline, retries or Retries(), clock)
        self._sleep = sleep
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport)

    def sample(
        self, n: int = 1, *, latents: bool = False, **options: Unpack[SampleOptions]
    ) -> results.Samples:
        """Draws n images from the prior, or around an image or a latent.

        Row i depends on the seed and i alone, however many images are drawn.

        Args:
            n: number of images.
            latents: whether to return the latents as well, which the service does for fewer images.
            options: `seed`, 0 … 2^53 − 1, drawn by the service by default; `temperature`, 0 … 10;
                `height` and `width`, for a model that takes many sizes; `latents_near`, an image to
                draw around, or a latent as an array of floats [*latent_shape], with its `radius`;
                `model`.
        """
        needs_json = latents or options.get("latents_near") is not None
        request = requests.sample(n, options, "json" if needs_json else "zip")
        return self._ask(request, results.Samples.of)

    def sample_file(
        self, suffix: ImagesSuffix, n: int = 1, **options: Unpack[SampleOptions]
    ) -> results.File:
        """Draws images into a file: `png` (a grid), `npy` (uint8 [n, h, w, c]) or `zip` (PNGs)."""
        return self._ask(requests.sample(n, options, suffix), results.File.of)

    def encode(self, images: ImagesLike, **options: Unpack[Options]) -> results.Encodings:
        """Returns the posterior of each image."""
        return self._ask(requests.of_images("/encode", images, options), results.Encodings.of)

    def decode(self, latents: ArrayLike, **options: Unpack[Options]) -> results.Decodings:
        """Returns the image of each latent, float32 [n, *latent_shape]."""
        return self._ask(
            requests.decode(latents, options, "npy", splits=True), results.Decodings.of
        )

    def decode_file(
        self, suffix: ImagesSuffix, latents: ArrayLike, **options: Unpack[Options]
    ) -> results.File:
        """Decodes latents into a file, in one request: `png`, `npy` or `zip`."""
        return self._ask(requests.decode(latents, options, suffix), results.File.of)

    def reconstruct(
        self, images: ImagesLike, **options: Unpack[ReconstructOptions]
    ) -> results.Reconstructions:
        """Encodes images and decodes the means.

        Args:
            images: see `vaeserve.images.rows_of`.
            options: `elbo_samples`, to estimate bounds on log p(x) as well; `binarise`, `sample` or
                `threshold`; `seed`, with which all images go in one request; `model`.
        """
        return self._ask(
            requests.of_images("/reconstruct", images, options), results.Reconstructions.of
        )

    def reconstruct_file(
        self, suffix: ImagesSuffix, images: ImagesLike, **options: Unpack[ReconstructOptions]
    ) -> results.File:
        """Reconstructs images into a file, in one request: `png`, `npy` or `zip`."""
        return self._ask(
            requests.of_images("/reconstruct", images, options, suffix), results.File.of
        )

    def score(self, images: ImagesLike, **options: Unpack[ScoreOptions]) -> results.Scores:
        """Estimates how likely the model finds each image.

        Args:
            images: see `vaeserve.images.rows_of`.
            options: `samples`, the number of importance samples; `binarise`, `sample` or
                `threshold`; `seed`, with which all images go in one request; `model`.
        """
        return self._ask(requests.of_images("/score", images, options), results.Scores.of)

    def interpolate(
        self, images: ImagesLike | None = None, **options: Unpack[InterpolateOptions]
    ) -> results.Interpolation:
        """Returns the images between two images, two latents or the first draws of two seeds.

        Args:
            images: the two ends, unless `latents` or `seeds` is given.
            options: `latents`, [2, *latent_shape]; `seeds`, two integers; `steps`, the number of
                images; `path`, `spherical` or `linear`; `model`.
        """
        return self._ask(requests.interpolate(images, options), results.Interpolation.of)

    def interpolate_file(
        self,
        suffix: WalkSuffix,
        images: ImagesLike | None = None,
        **options: Unpack[AnimationOptions],
    ) -> results.File:
        """Interpolates into a file: `png` (one row), `npy`, or an animation as `gif` or `webp`.

        Args:
            suffix: which file.
            images: the two ends, unless `latents` or `seeds` is given.
            options: those of `interpolate`; for an animation, `milliseconds` per image, and
                `bounce` to go back as well.
        """
        return self._ask(requests.interpolate(images, options, suffix), results.File.of)

    def models(self) -> results.Models:
        """Returns all models and the states of their versions."""
        return self._ask(Request("/models", method="GET"), results.Models.of)

    def describe(self, name: str) -> results.Model:
        """Returns one model, with the manifest of the version that serves."""
        return self._ask(requests.of_model(name), results.Model.of)

    def stored_latents(self, name: str) -> results.StoredLatents:
        """Returns the posterior means that a model's bundle keeps; `name` may be name/version."""
        return self._ask(requests.of_model(name, "/latents"), results.StoredLatents.of)

    def card(self, name: str) -> str:
        """Returns a page of Markdown about a model; `name` may be name/version."""
        return self._ask(
            requests.of_model(name, "/card", "md"), lambda reply: reply.content.decode()
        )

    def _ask(self, request: Request, parse: Callable[[Reply], T]) -> T:
        call = Call(request, parse, self._session)
        while not call.finished:
            try:
                call.answered(self._exchange(call))
            except (ProblemError, httpx.RequestError) as error:
                self._sleep(call.failed(error))
        return call.result()

    def _exchange(self, call: Call[T]) -> Reply:
        content = bytearray()
        with self._http.stream(**call.arguments()) as response:
            for piece in response.iter_bytes():
                content += piece
                # The timeout of httpx limits each piece, not all of them.
                call.deadline.check()
        return Reply(response.status_code, response.headers, bytes(content))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
