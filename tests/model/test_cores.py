"""The number of cores: what the cgroup and the affinity give, not what the host has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model.cores import available_cores

AFFINITY = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, AFFINITY),
        ({"cpu.max": "max 100000\n"}, AFFINITY),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, min(2, AFFINITY)),
        ({"cpu.max": "99900000 100000\n"}, AFFINITY),
        ({"cpu.max": "nonsense"}, AFFINITY),
        ({"cpu.max": "some 100000"}, AFFINITY),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, AFFINITY),
    ],
)
def test_counts_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    """A quota is rounded up and bounded by the affinity; without one the affinity counts."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == cores
