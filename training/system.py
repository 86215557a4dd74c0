"""What the operating system and git report: free memory, and the commit of this code."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
)
"""Limit, usage and statistics in cgroup v2 and v1."""


def available_memory(
    cgroup: Path = Path("/sys/fs/cgroup"),
    meminfo: Path = Path("/proc/meminfo"),
    status: Path = Path("/proc/self/status"),
) -> int:
    """Bytes that this process may still allocate: the least that host, cgroup and ulimit allow.

    Includes memory that the kernel would free from its file cache.
    """
    host = _fields(meminfo, ":").get("MemAvailable")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [free if host is None else host * 1024, *_left_to_the_process(status)]
    for limit_file, usage_file, parts_file in _FILES:
        try:
            limit, usage = (int((cgroup / name).read_text()) for name in (limit_file, usage_file))
        except (OSError, ValueError):  # no such cgroup, or "max", which means no limit
            continue
        limits.append(limit - usage + _fields(cgroup / parts_file).get("inactive_file", 0))
    return max(0, min(limits))


def _left_to_the_process(status: Path) -> list[int]:
    """The address space and private memory that `ulimit` leaves, if it limits them."""
    used = _fields(status, ":")
    kinds = {"VmSize": resource.RLIMIT_AS, "VmData": resource.RLIMIT_DATA}
    soft = {field: resource.getrlimit(limit)[0] for field, limit in kinds.items()}
    return [
        limit - used.get(field, 0) * 1024
        for field, limit in soft.items()
        if limit != resource.RLIM_INFINITY
    ]


def _fields(path: Path, separator: str = " ") -> dict[str, int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.replace(separator, " ", 1).split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}


def git_commit(*folders: str, project: Path = PROJECT) -> str | None:
    """The commit of `project`, with "+changes" if these folders have uncommitted changes.

    None if `project` is not the root of a clone: the commit of a repository around it, such as one
    that the package was installed into, does not describe this code.
    """
    try:
        root, commit = _git(project, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        if Path(root).resolve() != project.resolve():
            return None
        changed = _git(project, "status", "--porcelain", "--untracked-files=no", "--", *folders)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changed else "")


def _git(project: Path, *arguments: str) -> str:
    # Without locks, so that a simultaneous commit does not fail.
    command = ("git", "--no-optional-locks", "-C", str(project), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
