"""Clients of the service, with numpy in and out: `Client`, and `AsyncClient` for asyncio.

    with Client("http://localhost:8000") as service:
        images = service.sample(16, seed=7).images

Both have the same verbs, those of `vaeserve.verbs.Verbs`: sample, encode, decode, reconstruct,
score, interpolate, interpolate_file, models, describe, stored_latents and card. They talk HTTP and
nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from vaeserve.async_client import AsyncClient
from vaeserve.errors import AnswerError, ClientError, DeadlineError, ProblemError, UnreachableError
from vaeserve.retries import Retries
from vaeserve.steps import LOCAL, Outcome, Pause, Reply, Send, Steps
from vaeserve.verbs import Verbs

__all__ = [
    "AnswerError",
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineError",
    "ProblemError",
    "Retries",
    "UnreachableError",
]

P = ParamSpec("P")
T = TypeVar("T")


class _Verb(Generic[P, T]):
    """A verb as a method of `Client`, with the signature and the words of its steps."""

    def __init__(self, steps: Callable[Concatenate[Verbs, P], Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, client: None, owner: type[Client]) -> Self: ...
    @overload
    def __get__(self, client: Client, owner: type[Client]) -> Callable[P, T]: ...
    def __get__(self, client: Client | None, owner: type[Client]) -> Self | Callable[P, T]:
        if client is None:
            return self
        taken = client

        def verb(*args: P.args, **options: P.kwargs) -> T:
            return taken.take(self._steps(taken.verbs, *args, **options))

        verb.__doc__ = self.__doc__
        return verb


class Client:
    """A client of one service; safe to share between threads, closed with its connections.

    Args:
        url: of the service, with a path if it is not at the root.
        model: for calls that name none: a name, or name/version; empty takes the service's own.
        deadline: seconds that one call may take, with all its parts, pauses and repetitions.
        retries: how requests are repeated that met 429, 503 or a broken connection.
        headers: sent with every request, such as Authorization.
        transport: what takes requests to the service; a connection unless given.
        clock, sleep: seconds, monotonic, and how to wait for them.

    Raises:
        ClientError: every call; one of its four kinds in `vaeserve.errors`.
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
        self.verbs = Verbs(model=model, deadline=deadline, retries=retries, clock=clock)
        self._clock = clock
        self._sleep = sleep
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport)

    sample = _Verb(Verbs.sample)
    encode = _Verb(Verbs.encode)
    decode = _Verb(Verbs.decode)
    reconstruct = _Verb(Verbs.reconstruct)
    score = _Verb(Verbs.score)
    interpolate = _Verb(Verbs.interpolate)
    interpolate_file = _Verb(Verbs.interpolate_file)
    models = _Verb(Verbs.models)
    describe = _Verb(Verbs.describe)
    stored_latents = _Verb(Verbs.stored_latents)
    card = _Verb(Verbs.card)

    def take(self, steps: Steps[T]) -> T:
        """Takes a verb's steps, and returns its result."""
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                outcome = None
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                else:
                    outcome = self._send(step)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _send(self, send: Send) -> Outcome:
        until = self._clock() + send.timeout
        request = send.call.request(self._http, send.timeout)
        try:
            answer = self._http.send(request, stream=True)
            try:
                content = bytearray()
                for piece in answer.iter_bytes():
                    content += piece
                    # Each piece may take its time; all of them may not.
                    if self._clock() > until:
                        msg = "the answer took too long"
                        return httpx.ReadTimeout(msg, request=request)
            finally:
                answer.close()
        except httpx.RequestError as error:
            return error
        return Reply(answer.status_code, answer.headers, bytes(content))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
