"""One of several worker processes: as it sees itself, and as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.balancer import Balance, Share
from app.server.worker import LISTENING, READY, STARTED, Child, Worker
from tests.app.loops import in_loop, settle_down


@pytest.fixture(name="balance")
def _balance() -> Iterator[Balance]:
    balance = Balance(2)
    yield balance
    balance.close()


@pytest.fixture(name="share")
def _share(balance: Balance) -> Share:
    return Share(balance, 1)


@pytest.fixture(name="ends")
def _ends(tmp_path: Path, share: Share) -> Iterator[tuple[Worker, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Worker(1, theirs, tmp_path, share, replaces=False, patience=60), ours


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


def test_only_a_replacement_is_ready_by_itself(tmp_path: Path, share: Share) -> None:
    """At the start every worker waits for the others; one that replaces another does not."""
    _, channel = socket.socketpair()
    with _, channel:
        first = Worker(1, channel, tmp_path, share, replaces=False, patience=60)
        later = Worker(1, channel, tmp_path, share, replaces=True, patience=60)
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


@pytest.mark.parametrize("listens_first", [False, True])
@in_loop
async def test_is_given_connections_once_it_can_answer_them(
    ends: tuple[Worker, socket.socket], balance: Balance, listens_first: bool
) -> None:
    """It must listen, and its models must be open or have failed, in whatever order."""
    worker, _ = ends
    opened = asyncio.Event()

    async def wait() -> None:
        await opened.wait()

    opening = asyncio.create_task(wait())
    report = asyncio.create_task(worker.report(opening, lambda: False, lambda: None))

    async def open_models() -> None:
        opened.set()
        await asyncio.wait({opening})
        await settle_down()

    if listens_first:
        worker.tell(LISTENING)
        await settle_down()
    else:
        await open_models()
    assert balance.lightest(2) is None
    if listens_first:
        await open_models()
    else:
        worker.tell(LISTENING)
    assert balance.lightest(2) == 1
    report.cancel()


@in_loop
async def test_a_replacement_whose_models_failed_is_given_nothing(
    tmp_path: Path, share: Share, balance: Balance
) -> None:
    """It would answer 503 at once where others serve; it is given some once it is ready."""

    async def fail_to_open() -> None:
        pass

    ready = False
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = Worker(1, theirs, tmp_path, share, replaces=True, patience=60)
        opening = asyncio.create_task(fail_to_open())
        report = asyncio.create_task(worker.report(opening, lambda: ready, lambda: None))
        worker.tell(LISTENING)
        await asyncio.wait({opening})
        await settle_down()
        assert balance.lightest(2) is None
        report.cancel()
        ready = True
        report = asyncio.create_task(worker.report(opening, lambda: ready, lambda: None))
        await settle_down()
        assert balance.lightest(2) == 1
        report.cancel()


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[Child, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Child(os.getpid(), ours, 0.0), theirs


def test_a_child_is_what_it_says(pair: tuple[Child, socket.socket]) -> None:
    """It is listening and ready once it has said so, in whatever order and pieces."""
    child, worker = pair
    assert child.hear()
    assert (child.listening, child.ready) == (False, False)
    worker.send(READY)
    assert child.hear()
    assert (child.listening, child.ready) == (False, True)
    worker.send(LISTENING)
    assert child.hear()
    assert (child.listening, child.ready) == (True, True)


def test_the_last_words_of_a_child_are_heard(pair: tuple[Child, socket.socket]) -> None:
    """What it said before it ended counts; then it can say no more, and need not listen."""
    child, worker = pair
    worker.send(LISTENING)
    worker.close()
    assert child.hear()
    assert child.listening
    assert not child.hear()
    child.tell(STARTED)


def test_a_child_that_left_words_unread_has_ended(pair: tuple[Child, socket.socket]) -> None:
    """An end in the middle of a word to it is an end like any other."""
    child, worker = pair
    child.tell(STARTED)
    worker.close()
    assert not child.hear()
