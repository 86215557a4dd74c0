"""The load generator's output and its errors."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from benchmarks.load import open_loop, workloads, wrk
from benchmarks.load.workloads import Workload

OUTPUT = """\
Running 2s test @ http://127.0.0.1:8000/sample
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     7.02ms    3.84ms  26.19ms   68.26%
  3000 requests in 2.00s, 405.81KB read
Requests/sec:   1500.00
figures requests=3000 microseconds=2000000 p50=7280.0 p99=20120.5 \
connect=1 read=2 write=3 status=4 timeout=5
"""


def test_figures_are_read() -> None:
    """Rates are per second, latencies in milliseconds, and errors of every kind are added."""
    load = wrk.parse(OUTPUT)
    assert load == wrk.Load(requests=3000, seconds=2.0, p50=7.28, p99=20.1205, errors=15)
    assert load.requests_per_second == 1500


def test_output_without_figures_is_an_error() -> None:
    """Output without the line of figures raises an error."""
    with pytest.raises(wrk.LoadError, match="did not print the line of figures"):
        wrk.parse(OUTPUT.replace("figures", ""))


def test_a_missing_wrk_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the error names its package."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(wrk.LoadError, match="apt-get install wrk"):
        wrk.require_wrk()


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers 200 to exactly the request it expects, else 400."""

    protocol_version = "HTTP/1.1"
    expected: Workload

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        got = (self.path, self.headers["Accept"], self.headers["Content-Type"], body)
        wanted = self.expected
        right = got == (wanted.path, wanted.accept, wanted.content_type, wanted.body)
        self.send_response(200 if right else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_the_request_arrives_as_described(url: str) -> None:
    """Method, headers and a body of any bytes reach the server, so that nothing is refused."""
    _Echo.expected = Workload("any", "/path?x=1", "image/png", bytes(range(256)), "image/webp")
    load = wrk.run(url, _Echo.expected, connections=2, seconds=1)
    assert load.requests > 0
    assert load.errors == 0


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_no_answer_at_all_is_an_error() -> None:
    """A server without a response raises an error, unless none is expected."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(wrk.LoadError, match="/sample: 0 responses in 1 s"):
            wrk.run(url, workloads.sample(), connections=1, seconds=1)
        assert wrk.run(url, workloads.sample(), connections=1, seconds=1, least=0).requests == 0


def test_a_load_generator_that_does_not_end_is_an_error() -> None:
    """It is killed, and the error states its time limit."""
    forever = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(wrk.LoadError, match=r"^wrk had not ended after 0\.01 s$"):
        wrk.finished("wrk", forever, 0.01)


def test_both_load_generators_are_given_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """wrk and the open-loop client may take a minute longer than their load."""

    def expire(command: Sequence[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", expire)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(wrk.LoadError, match=r"^wrk had not ended after 62 s$"):
        wrk.run("http://host", workloads.sample(), connections=1, seconds=2)
    with pytest.raises(wrk.LoadError, match=r"^the open-loop client had not ended after 62 s$"):
        open_loop.arrivals("http://host", workloads.sample(), rate=1, seconds=2)
