"""One call of a verb: its requests, their repetitions, and the result of their responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

from vaeserve.errors import ProblemError, ResponseError, problem_of
from vaeserve.requests import Limits, Request
from vaeserve.results import Reply, joined
from vaeserve.retries import Deadline, Retries

T = TypeVar("T")

_CONNECT_SECONDS = 10.0


@dataclass(slots=True)
class Session:
    """What the calls of one client share; `model` is for calls that name no model."""

    model: str | None
    deadline: float
    retries: Retries
    clock: Callable[[], float]
    limits: Limits = field(default_factory=Limits)


class Call(Generic[T]):
    """One call: its requests one after the other, and the result of their responses.

    Args:
        request: of all rows.
        parse: response → result.
        session: of the client.
    """

    def __init__(self, request: Request, parse: Callable[[Reply], T], session: Session) -> None:
        self.deadline = Deadline(session.deadline, session.clock)
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
            rows = self._session.limits.first(request.path, rows[self._start :])
        self._count = 1 if rows is None else len(rows)
        self._arguments = request.arguments(rows, self._session.model)
        self._attempt = 1

    @property
    def finished(self) -> bool:
        """Whether all rows have a response."""
        return self._start >= (1 if self._request.rows is None else len(self._request.rows))

    def arguments(self) -> dict[str, Any]:
        """The current request, as arguments for httpx.

        Raises:
            DeadlineError: the deadline has passed.
        """
        left = self.deadline.check()
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
            msg = f"the service does not respond with status {reply.status}"
            raise ResponseError(msg)
        try:
            self._parts.append(self._parse(reply))
        except Exception as error:
            media_type = reply.headers.get("Content-Type", "no media type")
            msg = f"the response ({media_type}) is not one that vaeserve sends: {error!r}"
            raise ResponseError(msg) from error
        self._start += self._count
        if not self.finished:
            self._begin()

    def failed(self, error: ProblemError | httpx.RequestError) -> float:
        """Returns the seconds to wait before the next attempt, which may carry fewer rows.

        Raises:
            ClientError: nothing would help; an index counts from the call's row 0.
        """
        if isinstance(error, ProblemError):
            path, limits = self._request.path, self._session.limits
            if self._request.splits and limits.learn(error, path, self._count):
                self._begin()
                return 0.0
            if error.index is not None:
                error.index += self._start
        pause = self._session.retries.pause(self._attempt, error, self.deadline)
        self._attempt += 1
        return pause

    def result(self) -> T:
        """The result of all responses.

        Raises:
            ResponseError: they do not fit together.
        """
        return joined(self._parts)
