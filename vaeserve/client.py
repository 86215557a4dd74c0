"""`Client` and `AsyncClient`: the clients of a service."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import httpx
from numpy.typing import ArrayLike

from vaeserve import results, verbs
from vaeserve.calls import Call, Session
from vaeserve.errors import ProblemError
from vaeserve.images import ImagesLike
from vaeserve.results import Reply

P = ParamSpec("P")
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
        attempts: how often a request is sent at most, which helps after 429, 503 or a broken
            connection.
        headers: sent with every request, such as Authorization.
        transport: takes the requests to the service; a network connection by default.

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
        attempts: int = 6,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._session = Session(model, deadline, attempts)
        self._sleep: Callable[[float], None] = time.sleep
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport)

    def sample(
        self, n: int = 1, *, latents: bool = False, **options: Unpack[verbs.SampleOptions]
    ) -> results.Samples:
        """Draws n images from the prior, or around an image or a latent.

        Row i depends only on the seed and i, whatever `n` is.

        Args:
            n: number of images.
            latents: whether to return the latents as well, which the service does for fewer images.
            options: `seed`, 0 … 2^53 − 1, drawn by the service by default; `temperature`, 0 … 10;
                `height` and `width`, for a model that takes many sizes; `latents_near`, an image to
                draw around, or a latent as an array of floats [*latent_shape], with its `radius`;
                `model`.
        """
        needs_json = latents or options.get("latents_near") is not None
        request = verbs.sample(n, options, "json" if needs_json else "zip")
        return self._ask(request, results.Samples.of)

    def sample_file(
        self, suffix: verbs.Suffix, n: int = 1, **options: Unpack[verbs.SampleOptions]
    ) -> results.File:
        """Draws images into a file: `png` (a grid), `npy` (uint8 [n, h, w, c]) or `zip` (PNGs)."""
        return self._ask(verbs.sample(n, options, suffix), results.File.of)

    def encode(self, images: ImagesLike, **options: Unpack[verbs.Options]) -> results.Encodings:
        """Returns the posterior of each image."""
        return self._ask(verbs.of_images("/encode", images, options), results.Encodings.of)

    def decode(self, latents: ArrayLike, **options: Unpack[verbs.Options]) -> results.Decodings:
        """Returns the image of each latent, float32 [n, *latent_shape]."""
        return self._ask(verbs.decode(latents, options, "npy", splits=True), results.Decodings.of)

    def decode_file(
        self, suffix: verbs.Suffix, latents: ArrayLike, **options: Unpack[verbs.Options]
    ) -> results.File:
        """Decodes latents into a file, in one request: `png`, `npy` or `zip`."""
        return self._ask(verbs.decode(latents, options, suffix), results.File.of)

    def reconstruct(
        self, images: ImagesLike, **options: Unpack[verbs.ReconstructOptions]
    ) -> results.Reconstructions:
        """Encodes images and decodes the means.

        Args:
            images: see `vaeserve.images.rows_of`.
            options: `elbo_samples`, to estimate bounds on log p(x) as well; `binarise`, `sample` or
                `threshold`; `seed`, with which all images go in one request; `model`.
        """
        return self._ask(
            verbs.of_images("/reconstruct", images, options), results.Reconstructions.of
        )

    def reconstruct_file(
        self, suffix: verbs.Suffix, images: ImagesLike, **options: Unpack[verbs.ReconstructOptions]
    ) -> results.File:
        """Reconstructs images into a file, in one request: `png`, `npy` or `zip`."""
        return self._ask(verbs.of_images("/reconstruct", images, options, suffix), results.File.of)

    def score(self, images: ImagesLike, **options: Unpack[verbs.ScoreOptions]) -> results.Scores:
        """Estimates how likely the model finds each image.

        Args:
            images: see `vaeserve.images.rows_of`.
            options: `samples`, the number of importance samples; `binarise`, `sample` or
                `threshold`; `seed`, with which all images go in one request; `model`.
        """
        return self._ask(verbs.of_images("/score", images, options), results.Scores.of)

    def interpolate(
        self, images: ImagesLike | None = None, **options: Unpack[verbs.InterpolateOptions]
    ) -> results.Interpolation:
        """Returns the images between two images, two latents or the first draws of two seeds.

        Args:
            images: the two ends, unless `latents` or `seeds` is given.
            options: `latents`, [2, *latent_shape]; `seeds`, two integers; `steps`, the number of
                images; `path`, `spherical` or `linear`; `model`.
        """
        return self._ask(verbs.interpolate(images, options), results.Interpolation.of)

    def interpolate_file(
        self,
        suffix: verbs.WalkSuffix,
        images: ImagesLike | None = None,
        **options: Unpack[verbs.AnimationOptions],
    ) -> results.File:
        """Interpolates into a file: `png` (one row), `npy`, or an animation as `gif` or `webp`.

        The ends and options are those of `interpolate`; an animation also takes `milliseconds` per
        image, and `bounce` to go back as well.
        """
        return self._ask(verbs.interpolate(images, options, suffix), results.File.of)

    def models(self) -> dict[str, Any]:
        """Returns the JSON of `GET /models`: all models and the states of their versions."""
        return self._ask(verbs.Request("/models", method="GET"), results.document)

    def describe(self, name: str) -> dict[str, Any]:
        """Returns the JSON of `GET /models/{name}`: one model with its manifest."""
        return self._ask(verbs.of_model(name), results.document)

    def stored_latents(self, name: str) -> results.StoredLatents:
        """Returns the posterior means that a model's bundle keeps; `name` may be name/version."""
        return self._ask(verbs.of_model(name, "/latents"), results.StoredLatents.of)

    def card(self, name: str) -> str:
        """Returns a page of Markdown about a model; `name` may be name/version."""
        return self._ask(verbs.of_model(name, "/card", "md"), lambda reply: reply.content.decode())

    def _ask(self, request: verbs.Request, parse: Callable[[Reply], T]) -> T:
        call = Call(request, parse, self._session)
        while not call.finished:
            try:
                content = bytearray()
                with self._http.stream(**call.arguments()) as response:
                    for piece in response.iter_bytes():
                        content += piece
                        # The timeout of httpx limits each piece, not all of them.
                        call.left()
                call.answered(Reply(response.status_code, response.headers, bytes(content)))
            except (ProblemError, httpx.RequestError) as error:
                self._sleep(call.failed(error))
        return call.result()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _awaited(
    verb: Callable[Concatenate[Client, P], T],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The verb of `AsyncClient`: that of `Client`, with an `_ask` that is awaited."""

    @functools.wraps(verb)
    async def awaited(client: Any, /, *args: P.args, **options: P.kwargs) -> Any:  # noqa: ANN401
        answer: Any = verb(client, *args, **options)
        return await answer

    return awaited


class AsyncClient:
    """`Client` for asyncio: the same verbs are awaited, and calls may run at the same time."""

    def __init__(
        self,
        url: str = LOCAL,
        *,
        model: str | None = None,
        deadline: float = 60.0,
        attempts: int = 6,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._session = Session(model, deadline, attempts)
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._http = httpx.AsyncClient(base_url=url, headers=headers, transport=transport)

    sample = _awaited(Client.sample)
    sample_file = _awaited(Client.sample_file)
    encode = _awaited(Client.encode)
    decode = _awaited(Client.decode)
    decode_file = _awaited(Client.decode_file)
    reconstruct = _awaited(Client.reconstruct)
    reconstruct_file = _awaited(Client.reconstruct_file)
    score = _awaited(Client.score)
    interpolate = _awaited(Client.interpolate)
    interpolate_file = _awaited(Client.interpolate_file)
    models = _awaited(Client.models)
    describe = _awaited(Client.describe)
    stored_latents = _awaited(Client.stored_latents)
    card = _awaited(Client.card)

    async def _ask(self, request: verbs.Request, parse: Callable[[Reply], T]) -> T:
        call = Call(request, parse, self._session)
        while not call.finished:
            try:
                async with asyncio.timeout(call.left()):
                    response = await self._http.request(**call.arguments())
                call.answered(Reply(response.status_code, response.headers, response.content))
            except (ProblemError, httpx.RequestError, TimeoutError) as error:
                await self._sleep(call.failed(error))
        return call.result()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
