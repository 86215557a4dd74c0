"""An open-loop client: requests are sent when they are due, whatever the state of earlier ones.

A closed loop such as `wrk` sends a request only after a response. A server that stalls then gets
fewer requests, and the wait of the requests that were not sent is not counted ("coordinated
omission"). Here latency counts from when a request was due, and a new connection is opened if none
is idle.

Given connections instead of a rate, the client is a closed loop. Its throughput is that of client
and server together, which on shared cores is lower than with a cheaper client.
`python -m benchmarks.load.arrivals` runs it in a separate process and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import http.client
import math
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httptools
import orjson

T = TypeVar("T")

MAX_CONNECTIONS = 1000
"""At this limit a request that is due waits for an idle connection, and its latency counts."""

_RECEIVED = 65536
_ALREADY_OPEN = 16
_GRACE_SECONDS = 10.0
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The outcome of one fixed rate, or of one closed loop."""

    requests: int
    """Requests that were due; in a closed loop, requests that were completed."""
    errors: int
    """Responses other than 200, broken connections, and requests without a response 10 s after the
    end. A closed loop does not count the requests that are under way at its end."""
    seconds: float
    p50: float | None
    """Milliseconds from when a request was due to the end of its response, as are `p99` and
    `longest`; None without a response."""
    p99: float | None
    longest: float | None
    connections: int
    client_cpu: float
    """Microseconds of the client's own CPU time for each request."""

    @property
    def answers_per_second(self) -> float:
        """Responses with status 200 over the whole time."""
        return (self.requests - self.errors) / self.seconds


class _Connection:
    """A connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.descriptor = self.socket.fileno()
        self.due = 0.0
        self.busy = False
        self.status = 0
        self.reusable = True
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """Called by the parser, whose state describes this response only until it returns."""
        self.busy = False
        self.status = self.parser.get_status_code()
        self.reusable = self.parser.should_keep_alive()

    def send(self, request: bytes, due: float) -> None:
        """Sends a request that fits into the socket's buffer, so this does not block."""
        self.due, self.busy = due, True
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Reads what has arrived, and returns whether it completes a response.

        Raises:
            OSError: the connection broke.
            httptools.HttpParserError: the data is not HTTP.
        """
        expected = self.busy
        data = self.socket.recv(_RECEIVED)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.parser.feed_data(data)
        return expected and not self.busy


class Client:
    """Sends one request repeatedly, at a fixed rate or in a closed loop.

    Args:
        address: host and port.
        request: the whole request, head and body.
    """

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self._address, self._request = address, request
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._most = 0
        self._finished = 0
        self.opened = 0
        self._latencies: list[float] = []

    def at_rate(self, rate: float, seconds: float) -> Arrivals:
        """Sends `rate` requests a second, then waits up to 10 s for missing responses.

        Raises:
            OSError: the server accepts no connections.
        """
        count = max(1, round(rate * seconds))
        self._open_beforehand(_ALREADY_OPEN)
        cpu, started = time.process_time(), time.perf_counter()
        sent, last = 0, started + count / rate + _GRACE_SECONDS
        while self._finished < count and (now := time.perf_counter()) < last:
            while sent < count and (due := started + sent / rate) <= now:
                if not self._idle and len(self._open) >= MAX_CONNECTIONS:
                    break
                self._send(due)
                sent += 1
            wanted = started + sent / rate if sent < count else last
            self._wait(max(0.0, wanted - time.perf_counter()))
        return self._end(cpu, started, count)

    def in_turn(self, connections: int, seconds: float) -> Arrivals:
        """Keeps `connections` requests under way: each response is followed by the next request.

        Raises:
            OSError: the server accepts no connections.
        """
        self._open_beforehand(connections)
        cpu, started = time.process_time(), time.perf_counter()
        sent, last = 0, started + seconds
        while (now := time.perf_counter()) < last:
            while sent - self._finished < connections and now < last:
                self._send(now)
                sent += 1
                now = time.perf_counter()
            self._wait(max(0.0, last - now))
        return self._end(cpu, started, self._finished)

    def _open_beforehand(self, connections: int) -> None:
        self._idle.extend(self._connect() for _ in range(connections))

    def _end(self, cpu: float, started: float, count: int) -> Arrivals:
        used, elapsed = time.process_time() - cpu, time.perf_counter() - started
        for connection in self._open.values():
            connection.socket.close()
        self._poll.close()
        ordered: list[float | None] = [seconds * 1e3 for seconds in sorted(self._latencies)]
        ordered = ordered or [None]
        return Arrivals(
            requests=count,
            errors=count - len(self._latencies),
            seconds=elapsed,
            p50=percentile(ordered, 50),
            p99=percentile(ordered, 99),
            longest=ordered[-1],
            connections=self._most,
            client_cpu=used / max(1, count) * 1e6,
        )

    def _connect(self) -> _Connection:
        connection = _Connection(self._address)
        self._open[connection.descriptor] = connection
        self._poll.register(connection.descriptor, select.EPOLLIN)
        self.opened += 1
        self._most = max(self._most, len(self._open))
        return connection

    def _send(self, due: float) -> None:
        try:
            # The most recently used one, whose path through the server is warm, as in real pools.
            connection = self._idle.pop() if self._idle else self._connect()
        except OSError:
            self._finished += 1
            return
        try:
            connection.send(self._request, due)
        except OSError:
            self._drop(connection)

    def _wait(self, seconds: float) -> None:
        # Under load a response has usually arrived, and this one system call finds it.
        events = self._poll.poll(0)
        # epoll rounds to milliseconds, select doesn't; an epoll descriptor can be selected.
        if not events and select.select([self._poll], [], [], seconds)[0]:
            events = self._poll.poll(0)
        for descriptor, _ in events:
            self._receive(self._open[descriptor])

    def _receive(self, connection: _Connection) -> None:
        try:
            if not connection.receive():
                return
        except (OSError, httptools.HttpParserError):
            self._drop(connection)
            return
        self._finished += 1
        if connection.status == http.client.OK:
            self._latencies.append(time.perf_counter() - connection.due)
        self._idle.append(connection)
        if not connection.reusable:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._finished += connection.busy
        if not connection.busy:
            self._idle.remove(connection)
        self._poll.unregister(connection.descriptor)
        del self._open[connection.descriptor]
        connection.socket.close()


def percentile(ordered: Sequence[T], percent: float) -> T:
    """The smallest value that `percent` of the values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def address_of(url: str) -> tuple[str, int]:
    """The host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def request_bytes(url: str, method: str, headers: Sequence[str], body: bytes) -> bytes:
    """A whole HTTP/1.1 request; `headers` are lines."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    head = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", *headers]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def main(arguments: Sequence[str] | None = None) -> int:
    """Sends at one fixed rate, or runs one closed loop, against one server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.arrivals", description=__doc__)
    parser.add_argument("url")
    pace = parser.add_mutually_exclusive_group(required=True)
    pace.add_argument("--rate", type=float, help="requests a second")
    pace.add_argument("--connections", type=int, help="of a closed loop")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--header", action="append", default=[], help="'Name: value', repeatable")
    parser.add_argument("--body", type=Path, help="file with the request's body")
    options = parser.parse_args(arguments)
    body = options.body.read_bytes() if options.body else b""
    request = request_bytes(options.url, options.method, options.header, body)
    client = Client(address_of(options.url), request)
    seen = (
        client.at_rate(options.rate, options.seconds)
        if options.rate
        else client.in_turn(options.connections, options.seconds)
    )
    sys.stdout.buffer.write(orjson.dumps(asdict(seen)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
