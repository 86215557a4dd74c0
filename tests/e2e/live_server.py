"""A real server process on a free port, ready when the block begins and stopped when it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 30.0


@contextlib.contextmanager
def live_server(repository: Path) -> Iterator[str]:
    """Serves the bundles below `repository`; yields the address, such as `http://127.0.0.1:4711`.

    Raises:
        RuntimeError: it ended, or was not ready in time; with what it logged.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", str(port), "--repository", str(repository)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("VAE_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_ready(address, READY_WITHIN)
        yield address
    except TimeoutError as error:
        process.kill()
        msg = f"{error}; it logged:\n{process.communicate()[0]}"
        raise RuntimeError(msg) from error
    finally:
        process.terminate()
        process.communicate(timeout=READY_WITHIN)


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
