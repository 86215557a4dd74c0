"""A server's process tree: its CPU time and memory from `/proc`, and its end. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05
_ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process tree.

    `pss` divides each page by the number of processes on the machine that map it, and `rss` counts
    it in full for each process. What the tree alone would use lies between the two.
    """

    pss: int
    rss: int


def tree(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """The process and all its running descendants."""
    found = [pid]
    for parent in found:
        # A process may end after it was listed.
        with contextlib.suppress(*_ENDED):
            for children in (proc / str(parent) / "task").glob("*/children"):
                found.extend(int(child) for child in _read(children).split())
    return tuple(found)


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """User and system time of the tree so far, in ticks of the kernel's clock (10 ms)."""
    fields = (_stat(member, proc) for member in tree(pid, proc))
    ticks = sum(int(one[11]) + int(one[12]) for one in fields if one)
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int, proc: Path = PROC) -> Memory:
    """Resident memory of the tree."""
    sums = {"Pss": 0, "Rss": 0}
    for member in tree(pid, proc):
        rollup = _read(proc / str(member) / "smaps_rollup")
        for name, size in re.findall(r"^(Pss|Rss):\s+(\d+) kB$", rollup, re.MULTILINE):
            sums[name] += int(size) * 1024
    return Memory(pss=sums["Pss"], rss=sums["Rss"])


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent ends (prctl(2)).

    The setting survives `exec`: a server that is started after it keeps its daemons in its process
    tree, where they are counted and ended. A process that outlives the server becomes a child of
    the measuring process, if that has called this function too.

    Raises:
        OSError: the kernel refuses.
    """
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminates a process, kills it after 15 seconds, then kills the rest of its tree.

    Waits for those that this process has adopted (`adopt_orphans`).
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
        # The kernel may have given the number to another process since.
        if pid != process.pid and _start(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _family(pid: int) -> dict[int, str]:
    """The start of each member of the tree, in ticks since boot."""
    found = {member: _start(member) for member in tree(pid)}
    return {member: started for member, started in found.items() if started}


def _start(pid: int) -> str:
    fields = _stat(pid, PROC)
    return fields[19] if fields else ""


def _stat(pid: int, proc: Path) -> list[str]:
    """The fields of `stat` after the command's name; empty if the process has ended."""
    # The name is in parentheses and may itself contain spaces and parentheses.
    return _read(proc / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except _ENDED:
        return ""
