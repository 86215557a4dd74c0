"""How much memory this process may still take: the cgroup's limit and the host's, the smaller."""

from __future__ import annotations

import os
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
    cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")
) -> int:
    """Bytes, what the kernel would drop from its file cache included."""
    host = _fields(meminfo, ":").get("MemAvailable")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bounds = [free if host is None else host * 1024]
    for limit_file, usage_file, parts_file in _FILES:
        try:
            limit, usage = (int((cgroup / name).read_text()) for name in (limit_file, usage_file))
        except (OSError, ValueError):  # no such cgroup, or "max": no limit
            continue
        bounds.append(limit - usage + _fields(cgroup / parts_file).get("inactive_file", 0))
    return max(0, min(bounds))


def _fields(path: Path, separator: str = " ") -> dict[str, int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.replace(separator, " ", 1).split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1}
