"""The deadline of a call, and the pauses between its attempts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from vaeserve.errors import DeadlineError, ProblemError, UnreachableError

# A request may be repeated even if the service has received it: no verb changes anything.
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.ProxyError)


class Deadline:
    """The time of one call, with all its requests, pauses and repetitions.

    Args:
        seconds: from now on.
        clock: monotonic time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = clock() + seconds

    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._until - self._clock()

    def check(self) -> float:
        """Returns the seconds until the deadline.

        Raises:
            DeadlineError: the deadline has passed.
        """
        if (left := self.left()) <= 0:
            raise self.passed()
        return left

    def passed(self) -> DeadlineError:
        """The error to raise if the deadline has passed."""
        return DeadlineError(f"no response within the deadline of {self._seconds:g} s")


@dataclass(frozen=True, slots=True)
class Retries:
    """How a request is repeated after 429, 503 or a broken connection.

    The pause after attempt k is random between half and all of min(longest, first · 2^(k−1))
    seconds, and never shorter than the response's `Retry-After`.

    Args:
        attempts: how often a request is sent at most.
        first: upper limit of the first pause, in seconds.
        longest: upper limit of every pause, in seconds.
    """

    attempts: int = 6
    first: float = 0.2
    longest: float = 10.0

    def pause(
        self, attempt: int, error: ProblemError | httpx.RequestError, deadline: Deadline
    ) -> float:
        """Returns the seconds to wait before the next attempt.

        Args:
            attempt: number of the attempt that failed, from 1.
            error: why it failed.
            deadline: of the call.

        Raises:
            ClientError: another attempt would not help, or would come too late.
        """
        wait = min(self.longest, self.first * 2.0 ** (attempt - 1))
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 not a secret
        if isinstance(error, ProblemError):
            may_pass, wait = error.may_pass, max(wait, error.retry_after or 0.0)
        else:
            may_pass = isinstance(error, _BROKEN)
        if may_pass and attempt < self.attempts and wait < deadline.left():
            return wait
        if isinstance(error, ProblemError):
            raise error
        if isinstance(error, httpx.TimeoutException) and not may_pass:
            raise deadline.passed() from error
        msg = f"no response: {str(error) or type(error).__name__}"
        raise UnreachableError(msg) from error
