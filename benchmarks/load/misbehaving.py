"""Clients who misbehave: they leave in the middle, ask for too much, or send what is no request.

Each kind has a thread of its own and a new connection for every request. What they are answered
does not matter, as long as it is none of the service's own failures.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.load import workloads
from benchmarks.load.arrivals import request_bytes
from benchmarks.load.workloads import Workload
from model.pixels import Images

LARGE = 4096
MANY_IMAGES = 64

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to misbehave."""

    name: str
    workload: Workload
    sent: float = 1.0
    """The part of the request that is sent before the client leaves; at 1 all of it."""
    stays: bool = False
    """Whether it waits for the answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one kind, or all, met with."""

    requests: int = 0
    answers: int = 0
    """Any status; most clients left before."""
    failures: int = 0
    """Statuses from 500 on but 503 and 504, answers that broke off, and connections that were
    refused."""
    late: int = 0
    """Answers of 504: the service ended what took longer than its deadline, as it should."""

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.requests + other.requests,
            self.answers + other.answers,
            self.failures + other.failures,
            self.late + other.late,
        )


def kinds(image: Images) -> tuple[Kind, ...]:
    """Everything that they do; `image` uint8 [h, w, c] is what is uploaded."""
    large = workloads.sample(n=LARGE)
    form = workloads.reconstruct_multipart(image, images=MANY_IMAGES)
    raw = workloads.reconstruct(image)
    noise = bytes(range(256)) * 16
    return (
        Kind("asks for much and leaves", large),
        Kind("leaves in the middle of a form", form, sent=0.5),
        Kind("leaves in the middle of a head", raw, sent=0.05),
        Kind("asks for much", large, stays=True),
        Kind("sends many images", form, stays=True),
        Kind("sends no JSON", _with(workloads.sample(), b'{"n": [' + noise), stays=True),
        Kind("sends no image", _with(raw, raw.body[:60] + noise), stays=True),
        Kind("sends no form", _with(form, noise), stays=True),
    )


def misbehave(url: str, these: Sequence[Kind], seconds: float) -> Seen:
    """Each kind again and again for so long, all at once; each finishes what it has begun."""
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(these)) as pool:
        running = [pool.submit(_again_and_again, address, url, one, until) for one in these]
    return sum((one.result() for one in running), Seen())


def once(address: tuple[str, int], request: bytes, kind: Kind) -> Seen:
    """One client, come and gone."""
    try:
        with socket.create_connection(address, timeout=_PATIENCE_SECONDS) as connection:
            connection.sendall(request[: max(1, round(len(request) * kind.sent))])
            if not kind.stays:
                return Seen(requests=1)
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()
    except (OSError, http.client.HTTPException):
        return Seen(requests=1, failures=1)
    late = response.status == http.client.GATEWAY_TIMEOUT
    refused = response.status < 500 or response.status == http.client.SERVICE_UNAVAILABLE
    return Seen(requests=1, answers=1, failures=int(not (refused or late)), late=int(late))


def _again_and_again(address: tuple[str, int], url: str, kind: Kind, until: float) -> Seen:
    one = kind.workload
    lines = [*(f"{name}: {value}" for name, value in one.headers.items()), "Connection: close"]
    request = request_bytes(url + one.path, one.method, lines, one.body)
    seen = Seen()
    while time.perf_counter() < until:
        seen += once(address, request, kind)
        # Without it those who don't wait would be a flood, which is another load.
        time.sleep(_PAUSE_SECONDS)
    return seen


def _with(workload: Workload, body: bytes) -> Workload:
    return Workload(workload.name, workload.path, workload.content_type, body, workload.accept)
