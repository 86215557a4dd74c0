"""CPU time and memory of a process and its descendants, from `/proc`. Linux only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process tree.

    `pss` divides a page by the number of processes that map it, on the whole machine; `rss`
    counts it in full for each, so that the truth of a tree by itself lies between the two.
    """

    pss: int
    rss: int


def tree(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """The process and all its living descendants."""
    found = [pid]
    for parent in found:
        # It may end between being listed and being read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for children in (proc / str(parent) / "task").glob("*/children"):
                found.extend(int(child) for child in _read(children).split())
    return tuple(found)


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """User and system time of the tree so far, in ticks of the kernel's clock (10 ms)."""
    ticks = sum(_ticks(_read(proc / str(member) / "stat")) for member in tree(pid, proc))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int, proc: Path = PROC) -> Memory:
    """Resident memory of the tree."""
    sums = {"Pss": 0, "Rss": 0}
    for member in tree(pid, proc):
        for name, size in _sizes(_read(proc / str(member) / "smaps_rollup")):
            if name in sums:
                sums[name] += size
    return Memory(pss=sums["Pss"], rss=sums["Rss"])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended between being listed and being read


def _ticks(stat: str) -> int:
    # The command's name stands in parentheses and may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _sizes(rollup: str) -> Iterator[tuple[str, int]]:
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            yield name, int(rest.split()[0]) * 1024
