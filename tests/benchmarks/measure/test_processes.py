"""CPU time and memory of a process tree, from a made-up `/proc` and the real one, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measure import processes
from benchmarks.measure.processes import Memory, adopt_orphans, cpu_seconds, end, memory, tree

TICKS = os.sysconf("SC_CLK_TCK")

# A child in a new session starts a grandchild and ends; the grandchild writes its process id.
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
    """1 → 2 → 3 and 1 → 4, where 4 has ended since it was listed; 9 does not belong to the tree."""
    write_process(tmp_path, 1, children="2 4 ", user=100, system=50, pss=10)
    write_process(tmp_path, 2, children="3 ", user=10, system=5, pss=20)
    write_process(tmp_path, 3, user=1, system=1, pss=30)
    write_process(tmp_path, 9, user=9999, system=9999, pss=9999)
    return tmp_path


def test_the_tree_has_all_descendants(proc: Path) -> None:
    """Children of children belong to the tree, and other processes do not."""
    assert set(tree(1, proc)) == {1, 2, 3, 4}


def test_cpu_time_is_summed_over_the_tree(proc: Path) -> None:
    """User and system ticks of every member count, except those of an ended process."""
    assert cpu_seconds(1, proc) == pytest.approx(167 / TICKS)


def test_memory_is_summed_over_the_tree(proc: Path) -> None:
    """Pss and Rss are in bytes, and Pss_Dirty is not counted as Pss."""
    assert memory(1, proc) == Memory(pss=60 * 1024, rss=120 * 1024)


def test_a_real_child_is_counted() -> None:
    """The CPU time and memory of a child count for its parent's tree."""
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


def start(code: str, sign: Path) -> subprocess.Popen[bytes]:
    """Runs the code until it has written the file that it gets as its argument."""
    command = [sys.executable, "-c", code, str(sign)]
    process = subprocess.Popen(command, preexec_fn=adopt_orphans)
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def gone(pid: int) -> bool:
    """Whether a process ends within seconds; its parent may not have waited for it yet."""
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
    """A process whose parent has ended is still counted, and ends with the server."""
    process = start(DAEMONISES, tmp_path / "daemon")
    daemon = int((tmp_path / "daemon").read_text())
    assert daemon in tree(process.pid)
    end(process)
    assert process.returncode is not None
    assert gone(daemon)


def test_a_process_that_does_not_listen_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ignores SIGTERM is killed."""
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.2)
    process = start(IGNORES_THE_REQUEST, tmp_path / "started")
    end(process)
    assert process.returncode == -9


def test_one_that_has_ended_is_no_error() -> None:
    """Ending a process that has crashed is no error."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end(process)
    assert process.returncode == 0
