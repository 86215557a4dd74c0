"""The load generator `wrk` in a separate process: a closed loop with one request a connection."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.workloads import Workload

_SCRIPT = Path(__file__).with_name("wrk.lua")
_FIGURES = re.compile(r"^figures (.*)$", re.MULTILINE)
_GRACE_SECONDS = 60.0
_ERRORS = ("connect", "read", "write", "status", "timeout")


class LoadError(Exception):
    """A load generator is missing, failed, or printed unexpected output."""


class NoAnswerError(LoadError):
    """The server sent fewer responses than expected."""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one run of `wrk`; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def require_wrk() -> str:
    """Returns the path of `wrk`.

    Raises:
        LoadError: `wrk` is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise LoadError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    return path


def run(url: str, workload: Workload, *, connections: int, seconds: float, least: int = 1) -> Load:
    """Sends the workload over `connections` connections for whole `seconds`, at least 1.

    Raises:
        LoadError: `wrk` is missing, failed, did not end, or printed unexpected output.
        NoAnswerError: the server sent fewer than `least` responses.
    """
    with tempfile.NamedTemporaryFile(suffix=".body") as body:
        body.write(workload.body)
        body.flush()
        command = [
            *(require_wrk(), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{max(1, round(seconds))}s", "--timeout", "30s"),
            *("--script", str(_SCRIPT), url + workload.path, "--"),
            *(workload.method, workload.accept, workload.content_type, body.name),
        ]
        ended = finished("wrk", command, seconds + _GRACE_SECONDS)
    if ended.returncode:
        raise LoadError(f"wrk failed: {ended.stderr.strip() or ended.stdout.strip()}")
    load = parse(ended.stdout)
    if load.requests < least:
        raise NoAnswerError(f"{url}{workload.path}: {load.requests} responses in {seconds:g} s")
    return load


def finished(what: str, command: Sequence[str], limit: float) -> subprocess.CompletedProcess[str]:
    """Runs a load generator and returns its exit status and output.

    Raises:
        LoadError: `what` had not ended after `limit` seconds, and was killed.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{what} had not ended after {limit:g} s") from error


def parse(output: str) -> Load:
    """Reads the line that `wrk.lua` writes.

    Raises:
        LoadError: the line is missing.
    """
    match = _FIGURES.search(output)
    if match is None:
        raise LoadError(f"wrk did not print the line of figures: {output.strip()[-200:]!r}")
    figures = {
        name: float(value) for name, _, value in (pair.partition("=") for pair in match[1].split())
    }
    return Load(
        requests=int(figures["requests"]),
        seconds=figures["microseconds"] / 1e6,
        p50=figures["p50"] / 1e3,
        p99=figures["p99"] / 1e3,
        errors=sum(int(figures[name]) for name in _ERRORS),
    )
