"""The load generator `wrk`, in a process of its own: closed loop, one request a connection."""

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
    """`wrk` is missing, failed, or said something unknown."""


class NoAnswerError(LoadError):
    """There were fewer answers in that time than there should have been."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of `wrk` saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def require_wrk() -> str:
    """The program's path.

    Raises:
        LoadError: it is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        msg = "wrk is not installed; on Debian and Ubuntu: apt-get install wrk"
        raise LoadError(msg)
    return path


def run(url: str, workload: Workload, *, connections: int, seconds: float, least: int = 1) -> Load:
    """Sends the workload over `connections` connections for whole `seconds`, at least 1.

    Raises:
        LoadError: `wrk` is missing, failed, does not end, or said something unknown.
        NoAnswerError: it saw fewer than `least` answers.
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
        msg = f"wrk failed: {ended.stderr.strip() or ended.stdout.strip()}"
        raise LoadError(msg)
    load = parse(ended.stdout)
    if load.requests < least:
        msg = f"{url}{workload.path}: {load.requests} answers in {seconds:g} s"
        raise NoAnswerError(msg)
    return load


def finished(what: str, command: Sequence[str], limit: float) -> subprocess.CompletedProcess[str]:
    """A load generator's process with all that it printed, once it has ended.

    Raises:
        LoadError: `what` had not ended after `limit` seconds, and was killed.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as error:
        msg = f"{what} had not ended after {limit:g} s"
        raise LoadError(msg) from error


def parse(output: str) -> Load:
    """Reads the line that `wrk.lua` writes.

    Raises:
        LoadError: there is no such line.
    """
    match = _FIGURES.search(output)
    if match is None:
        msg = f"wrk printed no line of figures: {output.strip()[-200:]!r}"
        raise LoadError(msg)
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
