"""A verb as steps: it yields what is to be done, gets what came of it, and returns its result.

Who takes the steps does the sending and the waiting, in threads or on an event loop; the verbs
are written once for both.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

T = TypeVar("T")

LOCAL = "http://127.0.0.1:8000"
"""Where the service listens unless it is told otherwise."""

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request: a path, query parameters, and a body of one kind or none."""

    path: str
    accept: str = "application/json"
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    npy: bytes | None = None
    pictures: tuple[bytes, ...] = ()
    """Files, sent as multipart/form-data."""

    def request(self, http: httpx.Client | httpx.AsyncClient, timeout: float) -> httpx.Request:
        """The same as a request of `http`, each of whose waits may take `timeout` seconds."""
        headers = {"Accept": self.accept}
        if self.npy is not None:
            headers["Content-Type"] = "application/x-npy"
        return http.build_request(
            self.method,
            self.path,
            params=self.query,
            headers=headers,
            json=self.json,
            content=self.npy,
            files=[("images", ("picture", file)) for file in self.pictures] or None,
            # A host that answers nothing is tried again, which one attempt leaves time for.
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came whole."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send this, and give back the reply, or the error that came instead of one."""

    call: Call
    timeout: float
    """Seconds within which the reply must be there."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds; nothing is given back."""

    seconds: float


Outcome = Reply | httpx.RequestError | None
Steps = Generator[Send | Pause, Outcome, T]
