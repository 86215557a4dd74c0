"""`AsyncClient`: the client of a service for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Self, TypeVar, Unpack

import httpx
from numpy.typing import ArrayLike

from vaeserve import results
from vaeserve.calls import (
    LOCAL,
    AnimationOptions,
    Call,
    ImagesSuffix,
    InterpolateOptions,
    Options,
    ReconstructOptions,
    Reply,
    Request,
    SampleOptions,
    ScoreOptions,
    Verbs,
    WalkSuffix,
)
from vaeserve.errors import ProblemError
from vaeserve.images import ImagesLike
from vaeserve.retries import Deadline, Retries

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same verbs are awaited, and calls may run at the same time."""

    def __init__(
        self,
        url: str = LOCAL,
        *,
        model: str | None = None,
        deadline: float = 60.0,
        retries: Retries | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._verbs = Verbs(model)
        self._deadline = deadline
        self._retries = retries or Retries()
        self._clock = clock
        self._sleep = sleep
        self._http = httpx.AsyncClient(base_url=url, headers=headers, transport=transport)

    async def sample(
        self, n: int = 1, *, latents: bool = False, **options: Unpack[SampleOptions]
    ) -> results.Samples:
        """See `Client.sample`."""
        return await self._ask(self._verbs.sample(n, options, latents=latents))

    async def sample_file(
        self, suffix: ImagesSuffix, n: int = 1, **options: Unpack[SampleOptions]
    ) -> results.File:
        """See `Client.sample_file`."""
        return await self._ask(self._verbs.sample_file(suffix, n, options))

    async def encode(self, images: ImagesLike, **options: Unpack[Options]) -> results.Encodings:
        """See `Client.encode`."""
        return await self._ask(self._verbs.encode(images, options))

    async def decode(self, latents: ArrayLike, **options: Unpack[Options]) -> results.Decodings:
        """See `Client.decode`."""
        return await self._ask(self._verbs.decode(latents, options))

    async def decode_file(
        self, suffix: ImagesSuffix, latents: ArrayLike, **options: Unpack[Options]
    ) -> results.File:
        """See `Client.decode_file`."""
        return await self._ask(self._verbs.decode_file(suffix, latents, options))

    async def reconstruct(
        self, images: ImagesLike, **options: Unpack[ReconstructOptions]
    ) -> results.Reconstructions:
        """See `Client.reconstruct`."""
        return await self._ask(self._verbs.reconstruct(images, options))

    async def reconstruct_file(
        self, suffix: ImagesSuffix, images: ImagesLike, **options: Unpack[ReconstructOptions]
    ) -> results.File:
        """See `Client.reconstruct_file`."""
        return await self._ask(self._verbs.reconstruct_file(suffix, images, options))

    async def score(self, images: ImagesLike, **options: Unpack[ScoreOptions]) -> results.Scores:
        """See `Client.score`."""
        return await self._ask(self._verbs.score(images, options))

    async def interpolate(
        self, images: ImagesLike | None = None, **options: Unpack[InterpolateOptions]
    ) -> results.Interpolation:
        """See `Client.interpolate`."""
        return await self._ask(self._verbs.interpolate(images, options))

    async def interpolate_file(
        self,
        suffix: WalkSuffix,
        images: ImagesLike | None = None,
        **options: Unpack[AnimationOptions],
    ) -> results.File:
        """See `Client.interpolate_file`."""
        return await self._ask(self._verbs.interpolate_file(suffix, images, options))

    async def models(self) -> results.Models:
        """See `Client.models`."""
        return await self._ask(self._verbs.models())

    async def describe(self, name: str) -> results.Model:
        """See `Client.describe`."""
        return await self._ask(self._verbs.describe(name))

    async def stored_latents(self, name: str) -> results.StoredLatents:
        """See `Client.stored_latents`."""
        return await self._ask(self._verbs.stored_latents(name))

    async def card(self, name: str) -> str:
        """See `Client.card`."""
        return await self._ask(self._verbs.card(name))

    async def _ask(self, call: Call[T]) -> T:
        deadline = Deadline(self._deadline, self._clock)
        while not call.finished:
            request = call.request()
            try:
                call.answered(await self._send(request, deadline))
            except ProblemError as problem:
                call.refused(problem)
        return call.result()

    async def _send(self, request: Request, deadline: Deadline) -> Reply:
        attempt = 0
        while True:
            attempt += 1
            try:
                return (await self._exchange(request, deadline)).checked()
            except (ProblemError, httpx.RequestError) as error:
                pause = self._retries.pause(attempt, error, deadline)
            await self._sleep(pause)

    async def _exchange(self, request: Request, deadline: Deadline) -> Reply:
        left = deadline.check()
        try:
            async with asyncio.timeout(left):
                response = await self._http.send(request.build(self._http, left))
        except TimeoutError as error:
            raise deadline.passed() from error
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
