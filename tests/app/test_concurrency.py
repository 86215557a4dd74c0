"""Work beside the graphs: short on the loop, long in a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.concurrency import INLINE_SIZE, Offload
from tests.app.loops import in_loop


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
