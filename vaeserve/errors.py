"""The errors that a client raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


class ClientError(Exception):
    """Base class of all errors that a client raises about the service."""


class UnreachableError(ClientError):
    """No response: nothing listens at the address, or the connection broke."""


class DeadlineError(ClientError, TimeoutError):
    """The deadline passed before the response was complete."""


class ResponseError(ClientError):
    """The response is not one that vaeserve sends."""


@dataclass(eq=False)
class ProblemError(ClientError):
    """The service refused the request or failed: its problem document (RFC 9457).

    Args:
        status: HTTP status of the response.
        code: short name of the error; empty if the response is not a problem document, such as a
            proxy's page.
        detail: one sentence that says what was wrong and what would be right.
        field: the JSON member, query parameter or header that is wrong.
        index: position of the image or row that is wrong, from 0, among all of the call.
        limit: the limit that was exceeded.
        request_id: identifies the request in the service's log.
        retry_after: seconds after which the service expects the next attempt.
    """

    status: int
    code: str
    detail: str
    field: str | None = None
    index: int | None = None
    limit: float | None = None
    request_id: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.code or 'HTTP'} ({self.status}): {self.detail}"

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later (429 and 503)."""
        return self.status in (429, 503)


def problem_of(status: int, headers: Mapping[str, str], content: bytes) -> ProblemError:
    """Reads a response whose status is 400 or above."""
    try:
        members = json.loads(content)
        code, detail = members["code"], members["detail"]
    except (ValueError, TypeError, LookupError):
        start = " ".join(content[:200].decode("utf-8", "replace").split())[:80]
        detail = f"the response is not a problem document: {start or 'it is empty'}"
        members, code = {}, ""
    after = headers.get("Retry-After", "")
    return ProblemError(
        status,
        code,
        detail,
        field=members.get("field"),
        index=members.get("index"),
        limit=members.get("bound"),
        request_id=members.get("request_id") or headers.get("X-Request-ID"),
        # The service sends seconds; a proxy's date is ignored.
        retry_after=float(after) if after.isascii() and after.isdigit() else None,
    )
