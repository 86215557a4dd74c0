"""CPU time and memory from `/proc`: a made-up one for the arithmetic, the real one for the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure.processes import Memory, cpu_seconds, memory, tree

TICKS = os.sysconf("SC_CLK_TCK")


def write_process(
    proc: Path, pid: int, *, children: str = "", user: int = 0, system: int = 0, pss: int = 0
) -> None:
    """One process with one thread, as the kernel would show it."""
    task = proc / str(pid) / "task" / str(pid)
    task.mkdir(parents=True)
    (task / "children").write_text(children)
    (proc / str(pid) / "stat").write_text(
        f"{pid} (a ) name (x) R 1 1 1 0 -1 4194560 10 20 0 0 {user} {system} 7 7 20 0 1 0 5"
    )
    (proc / str(pid) / "smaps_rollup").write_text(
        f"00400000-7fff00000000 ---p 00000000 00:00 0    [rollup]\n"
        f"Rss:               {2 * pss} kB\nPss:               {pss} kB\n"
        f"Pss_Dirty:         12345 kB\nSwap:                  7 kB\n"
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """1 → 2 → 3 and 1 → 4, where 4 has ended since it was listed; 9 is a stranger."""
    write_process(tmp_path, 1, children="2 4 ", user=100, system=50, pss=10)
    write_process(tmp_path, 2, children="3 ", user=10, system=5, pss=20)
    write_process(tmp_path, 3, user=1, system=1, pss=30)
    write_process(tmp_path, 9, user=9999, system=9999, pss=9999)
    return tmp_path


def test_the_tree_has_all_descendants(proc: Path) -> None:
    """Children of children belong to the tree, strangers do not."""
    assert set(tree(1, proc)) == {1, 2, 3, 4}


def test_cpu_time_is_summed_over_the_tree(proc: Path) -> None:
    """User and system ticks of every member count, and one that has ended counts nothing."""
    assert cpu_seconds(1, proc) == pytest.approx(167 / TICKS)


def test_memory_is_summed_over_the_tree(proc: Path) -> None:
    """Pss and Rss are in bytes, and Pss_Dirty is not taken for Pss."""
    assert memory(1, proc) == Memory(pss=60 * 1024, rss=120 * 1024)


def test_a_real_child_is_counted() -> None:
    """A process that has worked and holds memory shows both in the figures of its parent."""
    code = "held = bytearray(b'x' * 30_000_000)\nwhile True: held[0] ^= 1"
    before = memory(os.getpid()).pss
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            while cpu_seconds(child.pid) < 0.2:
                assert child.poll() is None
            assert child.pid in tree(os.getpid())
            assert memory(child.pid).pss > 30_000_000
            assert memory(os.getpid()).pss > before + 30_000_000
        finally:
            child.kill()
