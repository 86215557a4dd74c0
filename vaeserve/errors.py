"""What a client raises: the service's refusals, and everything that keeps an answer away."""

from __future__ import annotations

from typing import Any

import orjson

from vaeserve.steps import Reply

_TRY_AGAIN = frozenset({429, 503})


class ClientError(Exception):
    """Base of everything that a client raises about the service."""


class UnreachableError(ClientError):
    """No answer came: nothing listens, or the connection broke before its end."""


class DeadlineError(ClientError, TimeoutError):
    """The deadline passed before there was an answer."""


class AnswerError(ClientError):
    """An answer that is not what the service sends."""


class ProblemError(ClientError):
    """The service refused or failed: its problem document (RFC 9457).

    Args:
        status: of the answer.
        code: the service's word for the error; empty where the answer was no problem document,
            such as a proxy's page.
        detail: one sentence: what was wrong, and what would be right.
        field: the member, parameter or header it is about.
        index: position of the picture or row it is about, from 0, among all of the call.
        bound: the limit that was passed.
        request_id: what the service's log has it under.
        retry_after: seconds after which the service wants to be asked again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        index: int | None = None,
        bound: float | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code or 'HTTP'} ({status}): {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.index = index
        self.bound = bound
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later: 429 and 503."""
        return self.status in _TRY_AGAIN

    def behind(self, rows: int) -> ProblemError:
        """The same about a request that had `rows` rows of its call before it."""
        if self.index is None or not rows:
            return self
        return ProblemError(
            self.status,
            self.code,
            self.detail,
            field=self.field,
            index=self.index + rows,
            bound=self.bound,
            request_id=self.request_id,
            retry_after=self.retry_after,
        )


def problem_of(reply: Reply) -> ProblemError:
    """The error that an answer with another status than 200 stands for."""
    members = _members(reply.content)
    code, detail = members.get("code"), members.get("detail")
    request_id = members.get("request_id") or reply.headers.get("X-Request-ID")
    if not isinstance(code, str) or not isinstance(detail, str):
        code, detail, members = "", f"the answer is no problem document: {_start(reply)}", {}
    return ProblemError(
        reply.status,
        code,
        detail,
        field=members.get("field"),
        index=members.get("index"),
        bound=members.get("bound"),
        request_id=request_id,
        retry_after=_seconds(reply.headers.get("Retry-After", "")),
    )


def _members(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _start(reply: Reply) -> str:
    text = " ".join(reply.content[:200].decode("utf-8", "replace").split())
    return text[:80] or "it is empty"


def _seconds(text: str) -> float | None:
    """Retry-After in seconds; the service sends no dates, and those of others are ignored."""
    return float(text) if text.isascii() and text.isdigit() else None
