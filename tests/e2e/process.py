"""The server as a separate process, with its log lines."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 90.0


class Server:
    """`python -m app` on a free port; keeps every line that it writes.

    It is one process unless VAE_WORKERS is given, whatever cores the machine has.
    """

    def __init__(self, repository: Path, *flags: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VAE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", "0", "--repository", str(repository), *flags],
            cwd=ROOT,
            env=clean | {"VAE_WORKERS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._fresh: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._fresh.put(line.rstrip("\n"))
        self._fresh.put(None)

    def wait_for(self, words: str) -> dict[str, Any]:
        """Returns the first new log line with these words, as a parsed object."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._fresh.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.lines.append(line)
            if words in line:
                found: dict[str, Any] = json.loads(line)
                return found
        msg = f"{words!r} was not logged:\n" + "\n".join(self.lines)
        raise AssertionError(msg)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status; `lines` has the rest of the output."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end of the process and its output, and returns the exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while not self._fresh.empty():
            line = self._fresh.get()
            if line is not None:
                self.lines.append(line)
        return status

    def cpu_seconds(self) -> float:
        """Processor time used by the process, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def server(repository: Path, *flags: str, **environment: str) -> Iterator[tuple[Server, int]]:
    """A started server and its port; its models may still be loading."""
    started = Server(repository, *flags, **environment)
    try:
        line = started.wait_for("running on")
        yield started, int(line["message"].split(":")[2].split(" ")[0])
    finally:
        started.process.kill()
        started.wait()


def exchange(port: int, *parts: bytes, pause: float = 0.0, finish: bool = False) -> bytes:
    """Sends parts over one connection, and returns all bytes until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received
