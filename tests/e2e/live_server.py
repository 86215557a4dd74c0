"""A real server process on a free port, ready when the block begins and stopped when it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 30.0


@contextlib.contextmanager
def live_server(repository: Path) -> Iterator[str]:
    """Serves the bundles below `repository`; yields the address, such as `http://127.0.0.1:4711`.

    Raises:
        RuntimeError: it was not ready in time; with what it logged.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    # A file, since a pipe that nobody reads would stop the server once it is full.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", str(port), "--repository", str(repository)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("VAE_")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _start(address, log)
            yield address
        finally:
            process.terminate()
            process.wait(READY_WITHIN)


def _start(address: str, log: IO[str]) -> None:
    try:
        wait_until_ready(address, READY_WITHIN)
    except TimeoutError as error:
        log.seek(0)
        msg = f"{error}; it logged:\n{log.read()}"
        raise RuntimeError(msg) from error


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(address: str, seconds: float) -> None:
    """Returns when `/readyz` answers 200; TimeoutError when it has not after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    msg = f"{address} was not ready within {seconds} s"
    raise TimeoutError(msg)
