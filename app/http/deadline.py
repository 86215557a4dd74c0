"""Cancels the work for a request when it is late or its client has left."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from starlette.requests import Request

from app.errors import (
    BodyTimeoutError,
    ClientDisconnectedError,
    DeadlineExceededError,
    ServiceError,
)

UNWATCHED_SECONDS = 0.05
"""Most responses are ready earlier; watching a connection costs as much as a small response."""


class Deadline:
    """A context manager around the work for one request, entered in the task that does it.

    It cancels the block, which then raises one of these errors:

    - BodyTimeoutError: the body did not arrive within `seconds` of the request's start.
    - DeadlineExceededError: the response was not ready by then.
    - ClientDisconnectedError: the client closed the connection. The deadline checks for this
      after `UNWATCHED_SECONDS`, once the body is complete; until then, reading the body
      reports it.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._seconds = seconds
        # The access log sets this time.
        self._due: float = request.scope["state"]["started"] + seconds
        self._reading = True
        self._watcher: asyncio.Task[None] | None = None
        self._error: ServiceError | None = None

    def body_is_complete(self) -> None:
        """Marks the body as received; from now on the client waits for the response."""
        self._reading = False

    def renew(self) -> None:
        """Restarts the time, for the next part of a streamed response."""
        self._due = time.perf_counter() + self._seconds

    def shorten(self, seconds: float) -> None:
        """Moves the deadline to `seconds` after the request's start, if that is earlier."""
        if seconds < self._seconds:
            self._due -= self._seconds - seconds
            self._seconds = seconds
            self._timer.cancel()
            self._look_again(UNWATCHED_SECONDS)

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 a request is always handled in a task
        self._task: asyncio.Task[object] = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._look_again(UNWATCHED_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._error is None:
            return
        # As in `asyncio.timeout`: a cancellation by someone else has precedence.
        ours = self._task.uncancel() <= self._cancelling
        if ours and kind is asyncio.CancelledError:
            raise self._error from None

    def _look_again(self, seconds: float) -> None:
        left = self._due - time.perf_counter()
        self._timer = self._loop.call_later(max(0.0, min(left, seconds)), self._look)

    def _look(self) -> None:
        if time.perf_counter() >= self._due:
            self._end(self._late())
        elif self._reading:
            self._look_again(UNWATCHED_SECONDS)
        else:
            # A timer may fire slightly early, so check again.
            if self._watcher is None:
                self._watcher = self._loop.create_task(self._watch())
            self._look_again(self._seconds)

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._end(ClientDisconnectedError("the caller left"))

    def _end(self, error: ServiceError) -> None:
        if self._error is None:
            self._error = error
            self._task.cancel()

    def _late(self) -> ServiceError:
        if self._reading:
            detail = f"the request's body did not arrive within {self._seconds:g} s"
            return BodyTimeoutError(detail, limit=self._seconds)
        detail = f"the response was not ready within {self._seconds:g} s"
        return DeadlineExceededError(detail, limit=self._seconds)
