"""A server's processes stay in its tree, and none outlives it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measure import descendants
from benchmarks.measure.descendants import adopt_orphans, end
from benchmarks.measure.processes import tree

# A child in a session of its own starts a grandchild and ends; the grandchild names itself.
DAEMONISES = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(sys.argv[1] + ".new").write_text(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""
IGNORES_THE_REQUEST = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""


def start(code: str, sign: Path) -> subprocess.Popen[bytes]:
    """Runs the code until it has written the file that it gets as its argument."""
    command = [sys.executable, "-c", code, str(sign)]
    process = subprocess.Popen(command, preexec_fn=adopt_orphans)
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def gone(pid: int) -> bool:
    """Whether a process ends within seconds; who has it now may not have waited for it yet."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_daemon_stays_in_the_tree_and_is_ended(tmp_path: Path) -> None:
    """A process whose parent has gone is still counted, and ends with the server."""
    process = start(DAEMONISES, tmp_path / "daemon")
    daemon = int((tmp_path / "daemon").read_text())
    assert daemon in tree(process.pid)
    end(process)
    assert process.returncode is not None
    assert gone(daemon)


def test_a_process_that_does_not_listen_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ignores the request to end is ended without being asked."""
    monkeypatch.setattr(descendants, "_STOP_SECONDS", 0.2)
    process = start(IGNORES_THE_REQUEST, tmp_path / "started")
    end(process)
    assert process.returncode == -9


def test_one_that_has_ended_is_no_error() -> None:
    """A server that has crashed needs no ending."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end(process)
    assert process.returncode == 0
