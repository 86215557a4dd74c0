"""The servers to measure, each started as its documentation says, and running ones."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.load.workloads import Workload
from benchmarks.measure.processes import adopt_orphans, end
from model.bundle.bundle import Bundle
from model.cores import available_cores

PROJECT = Path(__file__).parents[2]
OURS, NAIVE, TUNED = "vaeserve", "naive", "naive, tuned"

_HOST = "127.0.0.1"
_START_SECONDS = 120.0
_POLL_SECONDS = 0.005
_TUNED_OPTIONS = ("--routes", "inline", "--threads", "1", "--no-access-log")


class ServerError(Exception):
    """A server did not start, or its status was not 200."""


def forms_apart(workload: Workload) -> Workload | None:
    """Sends forms to a separate route, for frameworks whose routes declare their input."""
    if workload.content_type.startswith("multipart/"):
        return replace(workload, path=f"{workload.path}-upload")
    return workload


@dataclass(frozen=True, slots=True)
class System:
    """A way to serve a bundle."""

    name: str
    settings: str
    """A description of the settings, for the report."""
    command: Sequence[str]
    """Takes the port to listen on as `--port`."""
    ready_path: str = "/readyz"
    adapt: Callable[[Workload], Workload | None] = lambda workload: workload
    """This service's request → the system's own; None if the system lacks it."""
    answer: Callable[[Workload, bytes], bytes] = lambda workload, content: content
    """This service's request and the system's response → this service's response."""
    environment: Mapping[str, str] = field(default_factory=dict)


def counted(number: int, noun: str) -> str:
    """`2 workers`, `1 worker`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def vaeserve(bundle: Bundle, *, workers: int | None = None) -> System:
    """This service with its defaults, or with a number of workers."""
    root, name = bundle.folder.parent.parent, bundle.folder.parent.name
    command = [sys.executable, "-m", "app", "--repository", str(root), "--default-model", name]
    if workers is None:
        return System(OURS, "defaults", command)
    label = counted(workers, "worker")
    return System(f"{OURS}, {label}", label, [*command, "--workers", f"{workers}"])


def naive_default(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` with its defaults."""
    settings = (
        "FastAPI, work in its thread pool, onnxruntime's default threads, Pillow's default PNG, "
        "1 uvicorn worker, no batching"
    )
    return _naive(NAIVE, settings, bundle)


def naive_tuned(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` with a single-threaded worker for each core.

    Everything runs on the event loop: a worker has only one core, so the thread pool costs more
    than it gains.
    """
    number = available_cores()
    settings = (
        f"FastAPI, work on the event loop, {counted(number, 'uvicorn worker')} with 1 onnxruntime "
        "thread each, spinning off, no access log, no batching"
    )
    return _naive(TUNED, settings, bundle, "--workers", f"{number}", *_TUNED_OPTIONS)


def naive_torch(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` with torch instead of onnxruntime, tuned the same way."""
    number = available_cores()
    settings = (
        f"FastAPI, work on the event loop, {counted(number, 'uvicorn worker')} with 1 torch thread "
        "each, inference mode, no access log, no batching"
    )
    options = ("--workers", f"{number}", "--engine", "torch", *_TUNED_OPTIONS)
    return _naive("torch", settings, bundle, *options)


def _naive(name: str, settings: str, bundle: Bundle, *options: str) -> System:
    command = [sys.executable, "-m", "benchmarks.servers.naive", "--bundle", str(bundle.folder)]
    return System(name, settings, [*command, *options], adapt=forms_apart)


@dataclass(frozen=True, slots=True)
class Server:
    """A running system; `pid` is the root of its process tree."""

    system: System
    pid: int
    port: int
    seconds_to_ready: float

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def ask(self, workload: Workload) -> bytes:
        """Sends one request and returns the body as this service would send it.

        Raises:
            ServerError: the status is not 200, the response is invalid or does not arrive within
            half a minute, or the system lacks the workload.
        """
        adapted = self.system.adapt(workload)
        if adapted is None:
            raise ServerError(f"{self.system.name} has no {workload.name}")
        try:
            status, content = self.request(
                adapted.method, adapted.path, adapted.body, adapted.headers
            )
        except (OSError, http.client.HTTPException) as error:
            msg = f"{self.system.name} sent no response to {workload.name}: {error!r}"
            raise ServerError(msg) from error
        if status != 200:
            what = f"{self.system.name}: {workload.name} has status {status}"
            raise ServerError(f"{what}: {content[:200]!r}")
        try:
            return self.system.answer(workload, content)
        except (ValueError, LookupError, TypeError) as error:
            what = f"{self.system.name}: unexpected response to {workload.name}"
            raise ServerError(f"{what}: {error!r}") from error

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Sends one request over a new connection and returns the status and the body.

        Raises:
            OSError | http.client.HTTPException: the response is missing or invalid.
        """
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()


@contextlib.contextmanager
def running(system: System) -> Iterator[Server]:
    """Starts a server, waits until it is ready, and finally ends all its processes.

    Raises:
        ServerError: the server ended, or was not ready within two minutes.
    """
    port = _free_port()
    # The caller's own settings of the service must not affect the measurement.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "VAE_"}
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*system.command, "--port", f"{port}"],
            cwd=PROJECT,
            env=environment | {"TMPDIR": folder} | dict(system.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=adopt_orphans,
        )
        try:
            server = Server(system, process.pid, port, 0.0)
            _wait(process, server, started + _START_SECONDS)
            yield replace(server, seconds_to_ready=time.perf_counter() - started)
        finally:
            end(process)


def _wait(process: subprocess.Popen[bytes], server: Server, deadline: float) -> None:
    system = server.system
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            what = f"{system.name} ended with {process.returncode} at its start"
            raise ServerError(f"{what}; its command: {' '.join(system.command)}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.request("GET", system.ready_path)[0] == 200:
                return
        time.sleep(_POLL_SECONDS)
    raise ServerError(f"{system.name} was not ready within {_START_SECONDS:g} s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port
