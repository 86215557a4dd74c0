"""The open-loop client counts every wait and every failure."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.load import workloads
from benchmarks.load.arrivals import Client, percentile, request_bytes
from benchmarks.load.open_loop import arrivals, closed_loop
from benchmarks.load.workloads import Workload

REQUEST = request_bytes("http://host/any?x=1", "POST", ["Accept: image/png"], b"body")
BUSY_SECONDS = 0.03


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    statuses: Iterator[int]
    wait = 0.0
    wanted: Workload | None = None
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            time.sleep(self.wait)
            status = next(self.statuses)
        if self.wanted:
            got = (self.path, self.headers["Accept"], self.headers["Content-Type"], body)
            wanted = self.wanted
            right = got == (wanted.path, wanted.accept, wanted.content_type, wanted.body)
            status = 200 if right else 400
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    def log_message(self, *args: object) -> None:
        """Keeps quiet."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(
    statuses: Iterator[int], *, wait: float = 0.0, wanted: Workload | None = None
) -> Iterator[tuple[str, int]]:
    """Answers with these statuses in turn, one at a time; 0 closes the connection."""
    members = {"statuses": statuses, "wait": wait, "wanted": wanted}
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), members)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def test_a_wait_counts_from_when_the_request_was_due() -> None:
    """A server that takes one request at a time, at half the rate of arrivals, makes each wait
    for all before it: the last waits half of the whole time."""
    with serving(iter([200] * 20), wait=BUSY_SECONDS) as address:
        seen = Client(address, REQUEST).at_rate(2 / BUSY_SECONDS, 10 * BUSY_SECONDS)
    assert (seen.requests, seen.errors) == (20, 0)
    assert seen.longest is not None
    assert seen.p50 is not None
    assert seen.longest >= 10 * BUSY_SECONDS * 1000
    assert seen.p50 >= 5 * BUSY_SECONDS * 1000
    assert seen.client_cpu > 0


def test_connections_are_used_again() -> None:
    """Slow arrivals never need more connections than were opened beforehand."""
    with serving(iter([200] * 60)) as address:
        client = Client(address, REQUEST)
        seen = client.at_rate(300, 0.2)
    assert (seen.requests, seen.errors) == (60, 0)
    assert client.opened < 40


def test_every_failure_is_an_error() -> None:
    """Other statuses and connections that break are errors, and the rest goes on."""
    statuses = [200, 503, 200, 0, 0, 200, 429, 200, 200, 200]
    with serving(iter(statuses)) as address:
        seen = Client(address, REQUEST).at_rate(200, 0.05)
    assert (seen.requests, seen.errors) == (10, 4)


def test_nothing_answered_has_no_latency() -> None:
    """A server that only breaks connections ends the run without latencies."""
    with serving(iter([0] * 5)) as address:
        seen = Client(address, REQUEST).at_rate(100, 0.05)
    assert (seen.errors, seen.p50, seen.p99) == (5, None, None)


def test_a_closed_loop_waits_for_answers() -> None:
    """A server that takes one request at a time is never asked more than there are connections,
    and what is under way at the end is no error."""
    with serving(iter([200] * 1000), wait=BUSY_SECONDS) as address:
        client = Client(address, REQUEST)
        seen = client.in_turn(3, 10 * BUSY_SECONDS)
    assert 0 < seen.requests <= 10
    assert (seen.errors, client.opened, seen.connections) == (0, 3, 3)
    assert seen.answers_per_second == pytest.approx(seen.requests / seen.seconds)


def test_a_closed_loop_goes_on_after_failures() -> None:
    """Refusals and broken connections are errors, and a new connection replaces a broken one."""
    with serving(iter([503, 0, 200, 0] + [200] * 1000), wait=BUSY_SECONDS) as address:
        client = Client(address, REQUEST)
        seen = client.in_turn(2, 12 * BUSY_SECONDS)
    assert seen.errors == 3
    assert seen.requests > 4
    assert client.opened == 4


def test_a_closed_loop_runs_in_a_separate_process() -> None:
    """The process gets its connections and prints its result."""
    with serving(iter([200] * 100_000)) as (host, port):
        seen = closed_loop(f"http://{host}:{port}", workloads.sample(), connections=2, seconds=0.2)
    assert seen.connections == 2
    assert seen.requests > 0
    assert seen.errors == 0


def test_the_request_arrives_as_described() -> None:
    """Method, headers and a body of any bytes reach the server from a separate process."""
    wanted = Workload("any", "/path?x=1", "image/png", bytes(range(256)), "image/webp")
    with serving(iter([200] * 10), wanted=wanted) as (host, port):
        seen = arrivals(f"http://{host}:{port}", wanted, rate=50, seconds=0.2)
    assert (seen.requests, seen.errors) == (10, 0)


def test_requests_are_whole() -> None:
    """Path, query, host and length are in the head."""
    assert REQUEST == (
        b"POST /any?x=1 HTTP/1.1\r\nHost: host\r\nAccept: image/png\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (99, 4), (25, 1), (26, 2), (100, 4)])
def test_percentiles_are_values_that_were_seen(percent: float, value: int) -> None:
    """Nearest rank: no interpolation between two latencies."""
    assert percentile([1, 2, 3, 4], percent) == value


def test_a_workload_has_what_the_client_sends() -> None:
    """Both headers that distinguish requests are in a workload's."""
    assert set(workloads.sample().headers) == {"Accept", "Content-Type"}
