"""One of several worker processes: as it sees itself, and as its supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.balancer import ConnectionBalancer, WorkerConnections
from app.server.worker import LISTENING, READY, STARTED, Message, Worker, WorkerHandle, encode
from tests.app.loops import in_loop, settle_down
from tests.app.registries import until


@pytest.fixture(name="balancer")
def _balancer() -> Iterator[ConnectionBalancer]:
    balancer = ConnectionBalancer(2)
    yield balancer
    balancer.close()


@pytest.fixture(name="connections")
def _connections(balancer: ConnectionBalancer) -> WorkerConnections:
    return WorkerConnections(balancer, 1)


@pytest.fixture(name="ends")
def _ends(tmp_path: Path, connections: WorkerConnections) -> Iterator[tuple[Worker, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Worker(1, theirs, tmp_path, connections, replaces=False, patience=60), ours


def test_each_state_is_told_once(ends: tuple[Worker, socket.socket]) -> None:
    """However often a worker finds itself ready, the supervisor hears it once."""
    worker, supervisor = ends
    for _ in range(3):
        worker.announce(LISTENING)
        worker.announce(READY)
    assert supervisor.recv(4096) == encode({"state": LISTENING}) + encode({"state": READY})


def test_a_supervisor_that_is_gone_hears_nothing(ends: tuple[Worker, socket.socket]) -> None:
    """Telling nobody is no error of the worker."""
    worker, supervisor = ends
    supervisor.close()
    worker.announce(READY)


def test_only_a_replacement_is_ready_by_itself(
    tmp_path: Path, connections: WorkerConnections
) -> None:
    """At the start every worker waits for the others; one that replaces another does not."""
    _, channel = socket.socketpair()
    with _, channel:
        first = Worker(1, channel, tmp_path, connections, replaces=False, patience=60)
        later = Worker(1, channel, tmp_path, connections, replaces=True, patience=60)
    assert first.problems() == ["another worker is not ready yet; the log says why"]
    assert later.problems() == []


def test_the_temporary_folder_is_the_supervisors(
    ends: tuple[Worker, socket.socket], tmp_path: Path
) -> None:
    """A worker that ends before its supervisor removes nothing."""
    ends[0].remove_leftovers()
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
    assert supervisor.recv(4096) == encode({"state": READY})
    report.cancel()


@pytest.mark.parametrize("listens_first", [False, True])
@in_loop
async def test_is_given_connections_once_it_can_answer_them(
    ends: tuple[Worker, socket.socket], balancer: ConnectionBalancer, listens_first: bool
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
        worker.announce(LISTENING)
        await settle_down()
    else:
        await open_models()
    assert balancer.lightest(2) is None
    if listens_first:
        await open_models()
    else:
        worker.announce(LISTENING)
    assert balancer.lightest(2) == 1
    report.cancel()


@in_loop
async def test_a_replacement_whose_models_failed_is_given_nothing(
    tmp_path: Path, connections: WorkerConnections, balancer: ConnectionBalancer
) -> None:
    """It would answer 503 at once where others serve; it is given some once it is ready."""

    async def fail_to_open() -> None:
        pass

    ready = False
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = Worker(1, theirs, tmp_path, connections, replaces=True, patience=60)
        opening = asyncio.create_task(fail_to_open())
        report = asyncio.create_task(worker.report(opening, lambda: ready, lambda: None))
        worker.announce(LISTENING)
        await asyncio.wait({opening})
        await settle_down()
        assert balancer.lightest(2) is None
        report.cancel()
        ready = True
        report = asyncio.create_task(worker.report(opening, lambda: ready, lambda: None))
        await settle_down()
        assert balancer.lightest(2) == 1
        report.cancel()


@in_loop
async def test_messages_wait_until_they_are_asked_for(
    ends: tuple[Worker, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before and what comes later is yielded in order; then the supervisor is gone."""
    worker, supervisor = ends
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append(number))
    monkeypatch.setattr(worker, "patience", 0)
    worker.follow_supervisor()
    supervisor.send(encode({"state": STARTED}) + encode({"order": 1}) + b'{"ord')
    messages = worker.messages()
    assert await anext(messages) == {"order": 1}
    assert worker.problems() == []
    supervisor.send(b'er": 2}\n')
    assert await anext(messages) == {"order": 2}
    supervisor.close()
    await until(lambda: len(killed) == 2)
    assert killed == [signal.SIGTERM, signal.SIGKILL]
    worker.remove_leftovers()
    assert not worker.shared.exists()


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[WorkerHandle, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield WorkerHandle(1, os.getpid(), ours, 0.0), theirs


class PassedOn(list[tuple[int, Message]]):
    """The messages that are not states."""

    def __call__(self, number: int, message: Message) -> None:
        self.append((number, message))


def test_a_handle_has_the_states_that_its_worker_announces(
    pair: tuple[WorkerHandle, socket.socket],
) -> None:
    """They come in any order and in pieces; other messages are passed on."""
    (handle, worker), passed_on = pair, PassedOn()
    assert handle.receive(passed_on)
    assert (handle.listening, handle.ready) == (False, False)
    worker.send(encode({"state": READY}) + b'{"done": ')
    assert handle.receive(passed_on)
    assert (handle.listening, handle.ready) == (False, True)
    worker.send(b'"k"}\n' + encode({"state": LISTENING}))
    assert handle.receive(passed_on)
    assert (handle.listening, handle.ready) == (True, True)
    assert passed_on == [(1, {"done": "k"})]


def test_the_last_messages_of_a_worker_count(pair: tuple[WorkerHandle, socket.socket]) -> None:
    """What it sent before it ended is received; then its channel is closed, and sending is vain."""
    (handle, worker), passed_on = pair, PassedOn()
    worker.send(encode({"state": LISTENING}))
    worker.close()
    assert handle.receive(passed_on)
    assert handle.listening
    assert not handle.receive(passed_on)
    handle.send({"state": STARTED})


def test_a_worker_that_left_messages_unread_has_ended(
    pair: tuple[WorkerHandle, socket.socket],
) -> None:
    """A channel that was reset is closed like any other."""
    handle, worker = pair
    handle.send({"state": STARTED})
    worker.close()
    assert not handle.receive(PassedOn())


def test_what_the_channel_has_no_room_for_is_kept(
    pair: tuple[WorkerHandle, socket.socket],
) -> None:
    """A worker that reads late gets every message whole, and the supervisor never blocks."""
    handle, worker = pair
    count = 0
    while not handle.events & selectors.EVENT_WRITE:
        handle.send({"order": count, "name": "m" * 60})
        count += 1
    handle.send({"order": count, "name": "last"})
    with worker.makefile("rb") as lines:
        for number in range(count + 1):
            handle.flush()
            assert json.loads(lines.readline())["order"] == number
    assert handle.events == selectors.EVENT_READ
