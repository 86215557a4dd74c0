"""How much memory this process may still take: the least that host, cgroup and process allow."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
)
"""Limit, usage and its parts in cgroup v2 and v1."""


def available_memory(
    cgroup: Path = Path("/sys/fs/cgroup"),
    meminfo: Path = Path("/proc/meminfo"),
    status: Path = Path("/proc/self/status"),
) -> int:
    """Bytes, what the kernel would drop from its file cache included."""
    host = _fields(meminfo, ":").get("MemAvailable")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bounds = [free if host is None else host * 1024, *_left_to_the_process(status)]
    for limit_file, usage_file, parts_file in _FILES:
        try:
            limit, usage = (int((cgroup / name).read_text()) for name in (limit_file, usage_file))
        except (OSError, ValueError):  # no such cgroup, or "max": no limit
            continue
        bounds.append(limit - usage + _fields(cgroup / parts_file).get("inactive_file", 0))
    return max(0, min(bounds))


def _left_to_the_process(status: Path) -> list[int]:
    """What `ulimit` leaves, by address space and by private memory."""
    used = _fields(status, ":")
    limits = {"VmSize": resource.RLIMIT_AS, "VmData": resource.RLIMIT_DATA}
    soft = {field: resource.getrlimit(limit)[0] for field, limit in limits.items()}
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
