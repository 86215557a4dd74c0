"""Threads and locks beside the event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from app.concurrency import INLINE_SIZE, Locks, Offload, in_daemon_thread
from tests.app.loops import in_loop, settle_down


def where(offset: int, *, scale: int = 1) -> tuple[str, int]:
    return threading.current_thread().name, offset * scale


@in_loop
async def test_short_work_runs_on_the_loop_and_long_work_in_a_thread() -> None:
    """The size decides where the work runs; arguments and result are the same."""
    offload = Offload(1)
    assert await offload(INLINE_SIZE, where, 3, scale=2) == ("MainThread", 6)
    thread, value = await offload(INLINE_SIZE + 1, where, 3, scale=2)
    offload.close()
    assert thread.startswith("offload")
    assert value == 6


@pytest.mark.parametrize("size", [1, INLINE_SIZE + 1])
@in_loop
async def test_errors_come_back(size: int) -> None:
    """What the work raises is raised to its caller, wherever it ran."""

    def fail() -> None:
        raise KeyError("x")

    offload = Offload(1)
    with pytest.raises(KeyError):
        await offload(size, fail)
    offload.close()


@in_loop
async def test_work_of_a_caller_who_left_is_not_begun() -> None:
    """Work that waits for a thread is dropped when its caller is cancelled."""
    offload, gate, ran = Offload(1), threading.Event(), list[str]()
    running = asyncio.create_task(offload(INLINE_SIZE + 1, gate.wait))
    waiting = asyncio.create_task(offload(INLINE_SIZE + 1, ran.append, "ran"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    gate.set()
    await running
    offload.close()
    assert ran == []


STUCK = """
import asyncio, contextlib, threading
from app.concurrency import in_daemon_thread

async def main():
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(in_daemon_thread(threading.Event().wait), 0.01)

asyncio.run(main())
print("ended")
"""


@in_loop
async def test_gives_what_the_function_returns() -> None:
    """The function has its arguments, and runs in another thread."""
    assert await in_daemon_thread(int, "ff", base=16) == 255
    assert await in_daemon_thread(threading.get_ident) != threading.get_ident()


@in_loop
async def test_raises_what_the_function_raises() -> None:
    """An error reaches who waits."""
    with pytest.raises(ValueError, match="invalid literal"):
        await in_daemon_thread(int, "x")


@in_loop
async def test_who_no_longer_waits_is_told_nothing() -> None:
    """The thread of a cancelled wait ends in peace."""
    release, left = threading.Event(), threading.active_count()
    waiting = asyncio.create_task(in_daemon_thread(release.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    release.set()
    while threading.active_count() > left:  # noqa: ASYNC110 threads tell nobody
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    assert waiting.cancelled()


def test_a_stuck_function_does_not_keep_the_process() -> None:
    """A process ends though a function of its never returns."""
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ended.stdout, ended.stderr) == ("ended\n", "")


@in_loop
async def test_one_name_has_one_lock_and_none_when_nobody_uses_it() -> None:
    """Whoever comes while others hold it or wait waits for them; afterwards nothing is kept."""
    locks, inside, most = Locks(), list[int](), 0

    async def enter(number: int) -> None:
        nonlocal most
        async with locks["m"]:
            inside.append(number)
            most = max(most, len(inside))
            await settle_down()
            inside.remove(number)

    async with locks["other"]:
        await asyncio.gather(*(enter(number) for number in range(3)))
        assert len(locks) == 1
    assert most == 1
    assert len(locks) == 0
