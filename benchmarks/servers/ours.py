"""The servers under measurement, each started as its own documentation says."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.load.workloads import Workload
from benchmarks.measure.descendants import adopt_orphans, end
from model.bundle.bundle import Bundle
from model.cores import available_cores

PROJECT = Path(__file__).parents[2]

_HOST = "127.0.0.1"
_START_SECONDS = 120.0
_POLL_SECONDS = 0.005
_TUNED = ("--routes", "inline", "--threads", "1", "--no-access-log")


class ServerError(Exception):
    """A server that did not start, or answered something else than 200."""


def unchanged(workload: Workload) -> Workload | None:
    """What this service is asked."""
    return workload


def forms_apart(workload: Workload) -> Workload | None:
    """Forms have a route of their own, where a route declares what it takes."""
    if workload.content_type.startswith("multipart/"):
        return replace(workload, path=f"{workload.path}-upload")
    return workload


def as_it_is(workload: Workload, content: bytes) -> bytes:
    """What this service answers."""
    return content


@dataclass(frozen=True, slots=True)
class System:
    """A way to serve a bundle."""

    name: str
    settings: str
    """For the report, what was chosen."""
    command: Callable[[int], list[str]]
    """Takes the port to listen on."""
    ready_path: str = "/readyz"
    adapt: Callable[[Workload], Workload | None] = unchanged
    """This service's request → the system's own; None for what it can't be asked."""
    answer: Callable[[Workload, bytes], bytes] = as_it_is
    """This service's request and the system's answer → the answer that this service gives."""
    environment: Mapping[str, str] = field(default_factory=dict)


def counted(number: int, noun: str) -> str:
    """`2 workers`, `1 worker`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def vaeserve(bundle: Bundle, *, workers: int | None = None) -> System:
    """This service; with nothing but its defaults, or a number of workers."""
    root, name = bundle.folder.parent.parent, bundle.folder.parent.name
    command = [sys.executable, "-m", "app", "--repository", str(root), "--default-model", name]
    if workers is None:
        return System("vaeserve", "defaults", lambda port: [*command, "--port", f"{port}"])
    command += ["--workers", f"{workers}"]
    label = counted(workers, "worker")
    return System(f"vaeserve, {label}", label, lambda port: [*command, "--port", f"{port}"])


def naive_default(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` as it comes."""
    settings = (
        "FastAPI, work in its thread pool, onnxruntime's default threads, Pillow's default PNG, "
        "1 uvicorn worker, no batching"
    )
    return _naive("naive", settings, bundle)


def naive_tuned(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` with as many workers as cores, and nothing in them to fight
    for one.

    Everything runs on the event loop: the way to the thread pool and back costs more than it
    wins, since a worker has no more than one core anyway.
    """
    number = available_cores()
    settings = (
        f"FastAPI, work on the event loop, {counted(number, 'uvicorn worker')} with 1 onnxruntime "
        "thread each, spinning off, no access log, no batching"
    )
    return _naive("naive, tuned", settings, bundle, "--workers", f"{number}", *_TUNED)


def naive_torch(bundle: Bundle) -> System:
    """`benchmarks.servers.naive` with torch in onnxruntime's place, tuned the same way."""
    number = available_cores()
    settings = (
        f"FastAPI, work on the event loop, {counted(number, 'uvicorn worker')} with 1 torch thread "
        "each, inference mode, no access log, no batching"
    )
    options = ("--workers", f"{number}", "--engine", "torch", *_TUNED)
    return _naive("torch", settings, bundle, *options)


def _naive(name: str, settings: str, bundle: Bundle, *options: str) -> System:
    command = [
        sys.executable,
        "-m",
        "benchmarks.servers.naive",
        "--bundle",
        str(bundle.folder),
        *options,
    ]
    return System(name, settings, lambda port: [*command, "--port", f"{port}"], adapt=forms_apart)


@dataclass(frozen=True, slots=True)
class Server:
    """A running one; its figures are those of its whole process tree."""

    system: System
    pid: int
    port: int
    seconds_to_ready: float

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def ask(self, workload: Workload) -> bytes:
        """One answer's body, as this service would give it.

        Raises:
            ServerError: another status than 200, no answer in half a minute, something that is no
            answer, or the system can't be asked this.
        """
        adapted = self.system.adapt(workload)
        if adapted is None:
            msg = f"{self.system.name} has no {workload.name}"
            raise ServerError(msg)
        try:
            status, content = _ask(
                self.port, adapted.method, adapted.path, adapted.body, adapted.headers
            )
        except (OSError, http.client.HTTPException) as error:
            msg = f"{self.system.name} gave no answer to {workload.name}: {error!r}"
            raise ServerError(msg) from error
        if status != 200:
            msg = f"{self.system.name} answered {workload.name} with {status}: {content[:200]!r}"
            raise ServerError(msg)
        try:
            return self.system.answer(workload, content)
        except (ValueError, LookupError, TypeError) as error:
            msg = f"{self.system.name} answered {workload.name} in a way of its own: {error!r}"
            raise ServerError(msg) from error


@contextlib.contextmanager
def running(system: System) -> Iterator[Server]:
    """Starts the server, waits until it is ready, and ends all its processes afterwards.

    Raises:
        ServerError: it ended, or was not ready within two minutes.
    """
    port = _free_port()
    # What the caller's shell sets for the service is not what is measured here.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "VAE_"}
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        started = time.perf_counter()
        process = subprocess.Popen(
            system.command(port),
            cwd=PROJECT,
            env=environment | {"TMPDIR": folder} | dict(system.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=adopt_orphans,
        )
        try:
            _wait(process, system, port, started + _START_SECONDS)
            yield Server(system, process.pid, port, time.perf_counter() - started)
        finally:
            end(process)


def _wait(process: subprocess.Popen[bytes], system: System, port: int, deadline: float) -> None:
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            command = " ".join(system.command(port))
            msg = f"{system.name} ended with {process.returncode} at its start; try: {command}"
            raise ServerError(msg)
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _ask(port, "GET", system.ready_path, b"", {})[0] == 200:
                return
        time.sleep(_POLL_SECONDS)
    msg = f"{system.name} was not ready within {_START_SECONDS:g} s"
    raise ServerError(msg)


def _ask(
    port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(_HOST, port, timeout=30)
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port
