"""A service that answers as a script says, and a clock that only pauses move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx

from vaeserve import Client

Line = httpx.Response | Exception
Answerer = Callable[[httpx.Request], Line]


class Script:
    """Answers each request with the next line; the last one is repeated."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, Exception):
            raise line
        # A response is used up by its reader.
        return httpx.Response(line.status_code, headers=line.headers, content=line.content)


class Time:
    """Seconds that pass only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def client(script: Callable[[httpx.Request], httpx.Response], time: Time, **options: Any) -> Client:
    """A client of the script."""
    transport = httpx.MockTransport(script)
    made = Client("http://test", transport=transport, **options)
    made._session.clock, made._sleep = time.clock, time.sleep
    return made


def problem(status: int, code: str, *, retry_after: int | None = None, **members: Any) -> Line:
    """A problem document."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    document = {"code": code, "detail": f"it is {code}", "status": status, **members}
    return httpx.Response(status, json=document, headers=headers)


def no_models() -> httpx.Response:
    """What `/models` answers when there is none."""
    return httpx.Response(200, json={"default": None, "models": []})


def paths(requests: Sequence[httpx.Request]) -> list[str]:
    return [request.url.path for request in requests]
