"""How long a call may take, and how often its requests are sent again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from vaeserve.errors import (
    AnswerError,
    ClientError,
    DeadlineError,
    ProblemError,
    UnreachableError,
    problem_of,
)
from vaeserve.steps import Call, Outcome, Pause, Reply, Send, Steps

# Whatever broke the connection, no verb changes anything, so each may be asked again.
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Retries:
    """How a request that met a full queue, a starting server or a broken connection is repeated.

    The k-th pause is random between half and all of min(longest, first · 2^(k−1)) seconds, and
    never shorter than the answer's Retry-After.
    """

    attempts: int = 6
    first: float = 0.2
    longest: float = 10.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, from 1 on."""
        ceiling = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 not for secrets


class Patience:
    """The deadline of one call, over all its requests, pauses and repetitions.

    Args:
        seconds: from now on.
        retries: of each request.
        clock: seconds, monotonic.
    """

    def __init__(self, seconds: float, retries: Retries, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = clock() + seconds
        self._retries = retries

    def reply(self, call: Call) -> Steps[Reply]:
        """Sends a request until there is an answer with status 200.

        Raises:
            ProblemError: the service's refusal; of 429 and 503, the last one.
            UnreachableError: no answer came, as often as it was tried.
            DeadlineError: time ran out while waiting for an answer.
            AnswerError: a status that the service does not answer with.
        """
        attempt = 0
        while True:
            attempt += 1
            left = self._left()
            if left <= 0:
                raise self._late()
            outcome = yield Send(call, left)
            if isinstance(outcome, Reply) and outcome.status == httpx.codes.OK:
                return outcome
            failure = self._failure(outcome)
            wait = self._retries.pause(attempt)
            if isinstance(failure, ProblemError):
                wait = max(wait, failure.retry_after or 0.0)
            if attempt == self._retries.attempts or wait >= self._left():
                raise failure
            yield Pause(wait)

    def _failure(self, outcome: Outcome) -> ClientError:
        """Why there is no answer yet, where trying again may help; else it is raised."""
        if isinstance(outcome, Reply):
            if outcome.status < httpx.codes.BAD_REQUEST:
                msg = f"status {outcome.status} is not one that the service answers with"
                raise AnswerError(msg)
            problem = problem_of(outcome)
            if not problem.may_pass:
                raise problem
            return problem
        if outcome is None:
            msg = "a request was taken for a pause"
            raise TypeError(msg)
        text = str(outcome) or type(outcome).__name__
        if isinstance(outcome, httpx.TimeoutException) and not isinstance(outcome, _BROKEN):
            raise self._late() from outcome
        failure = UnreachableError(f"no answer came: {text}")
        failure.__cause__ = outcome
        if not isinstance(outcome, _BROKEN):
            raise failure
        return failure

    def _left(self) -> float:
        return self._until - self._clock()

    def _late(self) -> DeadlineError:
        return DeadlineError(f"no answer within the deadline of {self._seconds:g} s")
