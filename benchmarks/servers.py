"""The servers under measurement, each started as its own documentation says."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import Workload
from model.bundle import Bundle

_HOST = "127.0.0.1"
_PROJECT = Path(__file__).parent.parent
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.005


class ServerError(Exception):
    """A server that did not start, or answered something else than 200."""


@dataclass(frozen=True, slots=True)
class System:
    """A way to serve a bundle.

    `command` gets the port; `settings` says, for the report, what was chosen.
    """

    name: str
    settings: str
    command: Callable[[int], list[str]]
    ready_path: str = "/readyz"


def vaeserve(bundle: Bundle) -> System:
    """This service, with nothing but its defaults."""
    root, name = bundle.folder.parent.parent, bundle.folder.parent.name
    command = [sys.executable, "-m", "app", "--repository", str(root), "--default-model", name]
    return System("vaeserve", "defaults, 1 process", lambda port: [*command, "--port", f"{port}"])


def naive(bundle: Bundle) -> System:
    """`benchmarks.naive`."""
    command = [sys.executable, "-m", "benchmarks.naive", "--bundle", str(bundle.folder)]
    return System(
        "naive",
        "thread-pool routes, onnxruntime's default threads, Pillow's default PNG, 1 worker",
        lambda port: [*command, "--port", f"{port}"],
    )


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
        """One answer's body.

        Raises:
            ServerError: another status than 200.
        """
        status, content = _ask(
            self.port, workload.method, workload.path, workload.body, workload.headers
        )
        if status != 200:
            msg = f"{self.system.name} answered {workload.name} with {status}: {content[:200]!r}"
            raise ServerError(msg)
        return content


@contextlib.contextmanager
def running(system: System) -> Iterator[Server]:
    """Starts the server, waits until it is ready, and stops it at the end.

    Raises:
        ServerError: it ended, or was not ready within a minute.
    """
    port = _free_port()
    # What the caller's shell sets for the service is not what is measured here.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "VAE_"}
    started = time.perf_counter()
    process = subprocess.Popen(
        system.command(port),
        cwd=_PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, system, port, started + _START_SECONDS)
        yield Server(system, process.pid, port, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
