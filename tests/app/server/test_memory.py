"""Memory that was needed once is given back."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from app.server import memory

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc"
)

_HOLES = """
import ctypes, re, sys, time
from app.server import memory as allocator

def resident():
    return int(re.search(r"Rss:\\s+(\\d+)", open("/proc/self/smaps_rollup").read())[1]) * 1024

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(500)]
for block in blocks:
    ctypes.memset(ctypes.c_void_p(block), 1, 100_000)
for block in blocks[:-1]:
    libc.free(block)
before = resident()
assert allocator.trim_periodically(0.01)
deadline = time.monotonic() + 20
while resident() > before - 40_000_000 and time.monotonic() < deadline:
    time.sleep(0.01)
sys.exit(0 if resident() <= before - 40_000_000 else f"{before} -> {resident()}")
"""


_MAPPED = """
import ctypes, sys
from app.server import memory as allocator

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
mapped = allocator.map_large_blocks()
libc.free(libc.malloc(20_000_000))
address = libc.malloc(10_000_000)
# A block that is mapped by itself begins right behind the two words at the start of a page.
sys.exit(0 if (mapped, address % 4096) == (True, 16) else f"{mapped} {address % 4096}")
"""


def test_large_blocks_are_mapped_by_themselves() -> None:
    """Even after a larger one was freed, from which glibc would learn to keep such blocks."""
    finished = subprocess.run(
        [sys.executable, "-c", _MAPPED], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_what_the_environment_chooses_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets glibc's own variables is not overruled."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=4194304")
    assert not memory.map_large_blocks()


def test_free_pages_in_the_middle_of_a_heap_are_given_back() -> None:
    """50 MB that lie free below one block in use leave the process."""
    finished = subprocess.run(
        [sys.executable, "-c", _HOLES], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl has neither function: nothing is done, and no thread started."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    before = threading.active_count()
    assert not memory.map_large_blocks()
    assert not memory.trim_periodically()
    assert threading.active_count() == before


_SERVES = """
import sys
from app import __main__ as command
from app.server import run as start, uvicorn_server as server

def called():
    print("{name}", flush=True)
    sys.exit(0)

{module}.{name} = called
sys.argv = ["vaeserve", "--port", "0", "--workers", "1"]
command.main()
"""


@pytest.mark.parametrize(
    ("module", "name"), [("start", "map_large_blocks"), ("server", "trim_periodically")]
)
def test_the_service_gives_memory_back(module: str, name: str) -> None:
    """Both are called before it serves."""
    finished = subprocess.run(
        [sys.executable, "-c", _SERVES.format(module=module, name=name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (finished.returncode, finished.stdout) == (0, f"{name}\n"), finished.stderr
