"""Ends the work for a request when it is late, or when its caller has left."""

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
"""Most answers are ready before, and to watch a connection costs as much as a small answer."""


class Deadline:
    """Surrounds what is done for one request, in the task that does it.

    The block is cancelled, and raises one of these:

    - BodyTimeoutError: the body had not arrived `seconds` after the request began.
    - DeadlineExceededError: the answer was not ready by then.
    - ClientDisconnectedError: the caller closed the connection. It is looked for from
      `UNWATCHED_SECONDS` on, and only once the body is complete: before that, who reads the body
      finds it.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._seconds = seconds
        # Since the access log saw the request.
        self._due: float = request.scope["state"]["started"] + seconds
        self._reading = True
        self._watcher: asyncio.Task[None] | None = None
        self._error: ServiceError | None = None

    def body_is_complete(self) -> None:
        """From here on the caller is waiting for the answer."""
        self._reading = False

    def renew(self) -> None:
        """Begins the time anew, for the next part of an answer that is sent in parts."""
        self._due = time.perf_counter() + self._seconds

    def shorten(self, seconds: float) -> None:
        """Ends the block `seconds` after the request began, where that is earlier."""
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
        # As in `asyncio.timeout`: others may have cancelled too, and that goes first.
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
            # A timer may fire a little early, and then looks once more.
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
        detail = f"the answer was not ready within {self._seconds:g} s"
        return DeadlineExceededError(detail, limit=self._seconds)
