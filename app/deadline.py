"""Runs a verb for one request: within its deadline, and only as long as its caller is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Receive

from app.errors import BodyTimeoutError, ClientDisconnectedError, DeadlineExceededError

T = TypeVar("T")


async def receive_within(request: Request, seconds: float, reading: Awaitable[T]) -> T:
    """Awaits the request's body.

    Raises:
        BodyTimeoutError: it had not arrived `seconds` after the request began.
    """
    try:
        async with asyncio.timeout(_left(request, seconds)):
            return await reading
    except TimeoutError:
        detail = f"the request's body did not arrive within {seconds:g} s"
        raise BodyTimeoutError(detail, bound=seconds) from None


async def answer_within(request: Request, seconds: float, verb: Awaitable[T]) -> T:
    """Awaits a verb, after the body was read.

    Raises:
        DeadlineExceededError: it was not done `seconds` after the request began.
        ClientDisconnectedError: the caller closed the connection; the verb was cancelled.
    """
    running = asyncio.current_task()
    assert running is not None  # noqa: S101 a request is always handled in a task
    watch = _Watch(running)
    watcher = asyncio.create_task(watch(request.receive))
    try:
        async with asyncio.timeout(_left(request, seconds)):
            return await verb
    except TimeoutError:
        detail = f"the answer was not ready within {seconds:g} s"
        raise DeadlineExceededError(detail, bound=seconds) from None
    except asyncio.CancelledError:
        if not watch.left:
            raise
        running.uncancel()
        raise ClientDisconnectedError("the caller left") from None
    finally:
        watcher.cancel()


class _Watch:
    """Cancels a task when the client closes the connection."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self.left = False

    async def __call__(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._task.cancel()


def _left(request: Request, seconds: float) -> float:
    """What is left of `seconds` since the access log saw the request."""
    started: float = request.scope["state"]["started"]
    return started + seconds - time.perf_counter()
