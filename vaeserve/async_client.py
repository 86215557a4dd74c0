"""`AsyncClient`: the client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from vaeserve.retries import Retries
from vaeserve.steps import LOCAL, Outcome, Pause, Reply, Send, Steps
from vaeserve.verbs import Verbs

P = ParamSpec("P")
T = TypeVar("T")


class _AsyncVerb(Generic[P, T]):
    """A verb as a method of `AsyncClient`, with the signature and the words of its steps."""

    def __init__(self, steps: Callable[Concatenate[Verbs, P], Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, client: None, owner: type[AsyncClient]) -> Self: ...
    @overload
    def __get__(
        self, client: AsyncClient, owner: type[AsyncClient]
    ) -> Callable[P, Awaitable[T]]: ...
    def __get__(
        self, client: AsyncClient | None, owner: type[AsyncClient]
    ) -> Self | Callable[P, Awaitable[T]]:
        if client is None:
            return self
        taken = client

        async def verb(*args: P.args, **options: P.kwargs) -> T:
            return await taken.take(self._steps(taken.verbs, *args, **options))

        verb.__doc__ = self.__doc__
        return verb


class AsyncClient:
    """`vaeserve.client.Client` for asyncio: its verbs are awaited, and may run at the same time."""

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
        self.verbs = Verbs(model=model, deadline=deadline, retries=retries, clock=clock)
        self._sleep = sleep
        self._http = httpx.AsyncClient(base_url=url, headers=headers, transport=transport)

    sample = _AsyncVerb(Verbs.sample)
    encode = _AsyncVerb(Verbs.encode)
    decode = _AsyncVerb(Verbs.decode)
    reconstruct = _AsyncVerb(Verbs.reconstruct)
    score = _AsyncVerb(Verbs.score)
    interpolate = _AsyncVerb(Verbs.interpolate)
    interpolate_file = _AsyncVerb(Verbs.interpolate_file)
    models = _AsyncVerb(Verbs.models)
    describe = _AsyncVerb(Verbs.describe)
    stored_latents = _AsyncVerb(Verbs.stored_latents)
    card = _AsyncVerb(Verbs.card)

    async def take(self, steps: Steps[T]) -> T:
        """Takes a verb's steps, and returns its result."""
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                outcome = None
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                else:
                    outcome = await self._send(step)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _send(self, send: Send) -> Outcome:
        request = send.call.request(self._http, send.timeout)
        try:
            async with asyncio.timeout(send.timeout):
                answer = await self._http.send(request)
        except TimeoutError:
            return httpx.ReadTimeout("the answer took too long", request=request)
        except httpx.RequestError as error:
            return error
        return Reply(answer.status_code, answer.headers, answer.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
