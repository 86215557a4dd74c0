"""Misbehaving clients: they leave early, request too much, or send invalid requests.

Each kind has its own thread, and a new connection for every request. Any response is fine unless it
is a failure of the service itself.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace

from benchmarks.load import workloads
from benchmarks.load.arrivals import address_of, request_bytes
from benchmarks.load.workloads import Workload
from model.pixels import Images

LARGE = 4096
MANY_IMAGES = 64

_TIMEOUT_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to misbehave."""

    name: str
    workload: Workload
    sent: float = 1.0
    """The part of the request that is sent before the client leaves, up to 1."""
    stays: bool = False
    """Whether the client waits for the response."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The responses to one kind of client, or to all."""

    requests: int = 0
    answers: int = 0
    """Responses with any status; most clients leave earlier."""
    failures: int = 0
    """Statuses from 500 on except 503 and 504, incomplete responses, and refused connections."""
    late: int = 0
    """Responses with status 504: the service ended a request at its deadline, as it should."""


def kinds(image: Images) -> tuple[Kind, ...]:
    """All ways to misbehave; `image` uint8 [h, w, c] is what they upload."""
    large = workloads.sample(n=LARGE)
    form = workloads.reconstruct_multipart(image, images=MANY_IMAGES)
    raw, json = workloads.reconstruct(image), workloads.sample()
    noise = bytes(range(256)) * 16
    return (
        Kind("requests much and leaves", large),
        Kind("leaves in the middle of a form", form, sent=0.5),
        Kind("leaves in the middle of a head", raw, sent=0.05),
        Kind("requests much", large, stays=True),
        Kind("sends many images", form, stays=True),
        Kind("sends invalid JSON", replace(json, body=b'{"n": [' + noise), stays=True),
        Kind("sends an invalid image", replace(raw, body=raw.body[:60] + noise), stays=True),
        Kind("sends an invalid form", replace(form, body=noise), stays=True),
    )


def misbehave(url: str, these: Sequence[Kind], seconds: float) -> Seen:
    """Repeats each kind for `seconds`, all at once; each client completes its last request."""
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(these)) as pool:
        running = [pool.submit(_repeat, url, one, until) for one in these]
    return _sum([one.result() for one in running])


def once(address: tuple[str, int], request: bytes, kind: Kind) -> Seen:
    """Sends one request as a client of this kind."""
    try:
        with socket.create_connection(address, timeout=_TIMEOUT_SECONDS) as connection:
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


def _repeat(url: str, kind: Kind, until: float) -> Seen:
    one = kind.workload
    lines = [*(f"{name}: {value}" for name, value in one.headers.items()), "Connection: close"]
    request = request_bytes(url + one.path, one.method, lines, one.body)
    seen = []
    while time.perf_counter() < until:
        seen.append(once(address_of(url), request, kind))
        # Without a pause the clients that leave would be a flood, which is another load.
        time.sleep(_PAUSE_SECONDS)
    return _sum(seen)


def _sum(seen: Sequence[Seen]) -> Seen:
    return Seen(*(sum(members) for members in zip(*map(astuple, seen), strict=True)))
