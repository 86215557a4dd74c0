"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from app.daemon import in_daemon_thread
from tests.app.loops import in_loop

STUCK = """
import asyncio, contextlib, threading
from app.daemon import in_daemon_thread

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
