"""`AsyncClient`: the client of a service for asyncio."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from vaeserve.calls import Call, Session
from vaeserve.client import LOCAL, Client
from vaeserve.errors import ProblemError
from vaeserve.requests import Request
from vaeserve.results import Reply
from vaeserve.retries import Retries

P = ParamSpec("P")
T = TypeVar("T")


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
        retries: Retries | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = Session(model, deadline, retries or Retries(), clock)
        self._sleep = sleep
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

    async def _ask(self, request: Request, parse: Callable[[Reply], T]) -> T:
        call = Call(request, parse, self._session)
        while not call.finished:
            try:
                call.answered(await self._exchange(call))
            except (ProblemError, httpx.RequestError) as error:
                await self._sleep(call.failed(error))
        return call.result()

    async def _exchange(self, call: Call[T]) -> Reply:
        arguments = call.arguments()
        try:
            async with asyncio.timeout(call.deadline.left()):
                response = await self._http.request(**arguments)
        except TimeoutError as error:
            raise call.deadline.passed() from error
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
