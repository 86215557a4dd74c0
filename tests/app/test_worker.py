"""What a worker tells its supervisor, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.worker import LISTENING, READY, Worker
from tests.app.loops import in_loop


@pytest.fixture(name="ends")
def _ends(tmp_path: Path) -> Iterator[tuple[Worker, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Worker(1, theirs, tmp_path, replaces=False, patience=60), ours


def test_each_state_is_told_once(ends: tuple[Worker, socket.socket]) -> None:
    """However often a worker finds itself ready, the supervisor hears it once."""
    worker, supervisor = ends
    for _ in range(3):
        worker.tell(LISTENING)
        worker.tell(READY)
    assert supervisor.recv(4096) == LISTENING + READY


def test_a_supervisor_that_is_gone_hears_nothing(ends: tuple[Worker, socket.socket]) -> None:
    """Telling nobody is no error of the worker."""
    worker, supervisor = ends
    supervisor.close()
    worker.tell(READY)


def test_only_a_replacement_is_ready_by_itself(tmp_path: Path) -> None:
    """At the start every worker waits for the others; one that replaces another does not."""
    _, channel = socket.socketpair()
    with _, channel:
        first = Worker(1, channel, tmp_path, replaces=False, patience=60)
        later = Worker(1, channel, tmp_path, replaces=True, patience=60)
    assert first.problems() == ["another worker is not ready yet; the log says why"]
    assert later.problems() == []


def test_the_temporary_folder_is_the_supervisors(
    ends: tuple[Worker, socket.socket], tmp_path: Path
) -> None:
    """A worker that ends before its supervisor removes nothing."""
    ends[0].leave()
    assert tmp_path.exists()


@in_loop
async def test_reports_when_it_is_ready_and_keeps_the_gauges_fresh(
    ends: tuple[Worker, socket.socket],
) -> None:
    """The gauges are taken before and after the models are open, and only then it is ready."""
    worker, supervisor = ends
    opened, refreshed = asyncio.Event(), 0

    async def wait() -> None:
        await opened.wait()

    def refresh() -> None:
        nonlocal refreshed
        refreshed += 1

    opening = asyncio.create_task(wait())
    report = asyncio.create_task(worker.report(opening, opened.is_set, refresh))
    await asyncio.sleep(0)
    assert refreshed == 1
    with pytest.raises(BlockingIOError):
        supervisor.recv(1)
    opened.set()
    await opening
    while refreshed < 2:  # noqa: ASYNC110 the report tells nobody
        await asyncio.sleep(0)
    assert supervisor.recv(4096) == READY
    report.cancel()
