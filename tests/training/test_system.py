"""What may be taken is what the cgroup and the host leave."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from training.system import available_memory

HOST = 8192 * 1024
V1 = "memory/memory."


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, HOST),
        ({"memory.max": "max\n", "memory.current": "4000\n"}, HOST),
        ({"memory.max": "9000\n", "memory.current": "4000\n"}, 5000),
        (
            {
                "memory.max": "9000\n",
                "memory.current": "4000\n",
                "memory.stat": "anon 2500\ninactive_file 1500\n",
            },
            6500,
        ),
        ({"memory.max": "9000\n", "memory.current": "9900\n"}, 0),
        ({"memory.max": f"{10 * HOST}\n", "memory.current": "0\n"}, HOST),
        ({f"{V1}limit_in_bytes": "9000\n", f"{V1}usage_in_bytes": "3000\n"}, 6000),
        ({"memory.max": "nonsense", "memory.current": ""}, HOST),
    ],
)
def test_the_smaller_bound_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """A cgroup's limit less what is in use, its droppable file cache not counted, bounds the
    host's available memory."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:   16384 kB\nMemFree:  100 kB\nMemAvailable:  8192 kB\nOdd:\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert available_memory(tmp_path, meminfo) == expected


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    """Without the kernel's files, free pages count."""
    assert available_memory(tmp_path, tmp_path / "missing") > 0


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What `ulimit` allows the process bounds what it may still take."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmSize:\t 3 kB\nVmData:\t 3 kB\n")
    limits = {getattr(resource, kind): 10 * 1024}
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(
        resource, "getrlimit", lambda limit: (limits.get(limit, unlimited), unlimited)
    )

    assert available_memory(tmp_path, tmp_path / "missing", status) == 7 * 1024


def test_this_host() -> None:
    """The real files of this machine can be read."""
    assert available_memory() > 0
