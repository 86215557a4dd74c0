"""One call of a verb: its requests, their repetitions, and the result of their responses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
import numpy as np

from vaeserve.errors import (
    ClientError,
    DeadlineError,
    ProblemError,
    ResponseError,
    UnreachableError,
    problem_of,
)
from vaeserve.images import Row, file_of
from vaeserve.results import Floats, Reply, joined
from vaeserve.verbs import Request

T = TypeVar("T")

# A request may be repeated even if the service has received it: no verb changes anything.
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.ProxyError)
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""The pause after attempt k is random between half and all of min(longest, first · 2^(k−1)),
in seconds, and never shorter than the response's `Retry-After`."""


@dataclass(slots=True)
class Session:
    """What the calls of one client share.

    Args:
        model: of calls that name no model.
        deadline: seconds that one call may take, with all its requests, pauses and repetitions.
        attempts: how often a request is sent at most, if the service responds with 429 or 503 or
            the connection breaks.
        clock: monotonic time in seconds.
        max_rows: rows that a request to a path may carry: the service's defaults, lowered by
            refusals.
        max_bytes: as `max_rows`, for the body of a request.
    """

    model: str | None
    deadline: float
    attempts: int
    clock: Callable[[], float] = time.monotonic
    max_rows: dict[str, int] = field(default_factory=lambda: {"/decode": 4096})
    max_bytes: int = 32 * 1024 * 1024

    def first(self, path: str, rows: Sequence[Row] | Floats) -> Sequence[Row] | Floats:
        """The first rows that one request has room for, at least one; images as files."""
        rows = rows[: self.max_rows.get(path, 64)]
        if isinstance(rows, np.ndarray):
            return rows[: max(1, self.max_bytes // (rows[0].nbytes + 1))]
        room = self.max_bytes
        files: list[bytes] = []
        for file in map(file_of, rows):
            # A part of multipart/form-data has a boundary and headers.
            room -= len(file) + 200
            if files and room < 0:
                break
            files.append(file)
        return files

    def learn(self, problem: ProblemError, path: str, rows: int) -> bool:
        """Whether `rows` rows, which were refused, may be accepted in smaller requests."""
        fewer, limit = rows // 2, int(problem.limit or 0)
        if problem.code == "body_too_large":
            self.max_bytes = min(limit or self.max_bytes, self.max_bytes)
        elif problem.code == "invalid_field" and problem.index is None:
            fewer = limit if problem.field in ("images", "latents") else 0
        elif problem.code != "request_too_large":
            return False
        if not 1 <= fewer < rows:
            return False
        self.max_rows[path] = fewer
        return True


class Call(Generic[T]):
    """One call: its requests one after the other, and the result of their responses.

    Args:
        request: of all rows.
        parse: response → result.
        session: of the client.
    """

    def __init__(self, request: Request, parse: Callable[[Reply], T], session: Session) -> None:
        self._until = session.clock() + session.deadline
        self._request = request
        self._parse = parse
        self._session = session
        self._start = 0
        self._parts: list[T] = []
        self._begin()

    def _begin(self) -> None:
        """Begins the next request."""
        request, rows = self._request, self._request.rows
        if rows is not None and request.splits:
            rows = self._session.first(request.path, rows[self._start :])
        self._count = 1 if rows is None else len(rows)
        self._arguments = request.arguments(rows, self._session.model)
        self._attempt = 1

    @property
    def finished(self) -> bool:
        """Whether all rows have a response."""
        return self._start >= (1 if self._request.rows is None else len(self._request.rows))

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            DeadlineError: it has passed.
        """
        if (left := self._until - self._session.clock()) <= 0:
            raise self._late()
        return left

    def _late(self) -> DeadlineError:
        return DeadlineError(f"no response within the deadline of {self._session.deadline:g} s")

    def arguments(self) -> dict[str, Any]:
        """The current request, as arguments for httpx.

        Raises:
            DeadlineError: the deadline has passed.
        """
        left = self.left()
        # A host that does not respond is tried again, so one attempt must leave time.
        timeout = httpx.Timeout(left, connect=min(left, _CONNECT_SECONDS))
        return self._arguments | {"timeout": timeout}

    def answered(self, reply: Reply) -> None:
        """Keeps the response to the current request, and begins the next one.

        Raises:
            ProblemError: the status is 400 or above.
            ResponseError: vaeserve does not send such a response.
        """
        if reply.status >= httpx.codes.BAD_REQUEST:
            raise problem_of(*reply)
        if reply.status != httpx.codes.OK:
            raise ResponseError(f"unexpected response status {reply.status}")
        try:
            self._parts.append(self._parse(reply))
        except Exception as error:
            media_type = reply.headers.get("Content-Type", "no media type")
            raise ResponseError(f"unexpected response ({media_type}): {error!r}") from error
        self._start += self._count
        if not self.finished:
            self._begin()

    def failed(self, error: ProblemError | httpx.RequestError | TimeoutError) -> float:
        """Returns the seconds to wait before the next attempt, which may carry fewer rows.

        Raises:
            ClientError: another attempt would not help, or would come too late. An index counts
                from the call's row 0.
        """
        may_pass, least = isinstance(error, _BROKEN), 0.0
        if isinstance(error, ProblemError):
            request, count = self._request, self._count
            if request.splits and self._session.learn(error, request.path, count):
                self._begin()
                return 0.0
            if error.index is not None:
                error.index += self._start
            may_pass, least = error.may_pass, error.retry_after or 0.0
        ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._attempt - 1))
        pause = max(least, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 not a secret
        left = self._until - self._session.clock()
        if may_pass and self._attempt < self._session.attempts and pause < left:
            self._attempt += 1
            return pause
        if isinstance(error, ClientError):
            raise error
        if isinstance(error, TimeoutError | httpx.TimeoutException) and not may_pass:
            raise self._late() from error
        raise UnreachableError(f"no response: {str(error) or type(error).__name__}") from error

    def result(self) -> T:
        """The result of all responses."""
        return joined(self._parts)
