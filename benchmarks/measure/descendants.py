"""Keeps a server's processes together, those that leave it too, and ends them all. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.measure.processes import PROC, tree

_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent ends (prctl(2)).

    It lasts through `exec`, so that a server that is started after it keeps its daemons in its
    process tree, where they are counted and found again. What outlives the server comes to the
    process that measures, when that one has called it too.

    Raises:
        OSError: the kernel refuses.
    """
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end, gives it a quarter of a minute, and ends what is left of its tree.

    Those that came to this process (`adopt_orphans`) are waited for.
    """
    family = _family(process.pid)
    process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        family |= _family(process.pid)
        time.sleep(_POLL_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()
    for pid, started in family.items():
        # A number may have gone to a stranger since.
        if pid != process.pid and _start(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _family(pid: int) -> dict[int, str]:
    """Each member's start, in ticks since boot."""
    found = {member: _start(member) for member in tree(pid)}
    return {member: started for member, started in found.items() if started}


def _start(pid: int, proc: Path = PROC) -> str:
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[19]
