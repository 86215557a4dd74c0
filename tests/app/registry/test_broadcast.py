"""Every worker does what one of them was asked to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.errors import ModelUnavailableError, UnknownModelError
from app.registry.broadcast import Broadcast
from app.server.relay import Relay
from tests import arithmetic_bundle
from tests.app.loops import in_loop, settle_down
from tests.app.registries import registry, until
from tests.app.relayed import RelayedLink


class Recorder:
    """Carries out nothing, and keeps what it was asked to do."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.error = error

    async def __call__(self, name: str, wanted: str) -> None:
        self.seen.append((name, wanted))
        if self.error is not None:
            raise self.error


class Workers:
    """Two workers, of which `follow` has each carry out orders."""

    def __init__(self, timeout: float = 60) -> None:
        self.relay = Relay()
        self.one, self.two = (
            Broadcast(RelayedLink(self.relay, number), timeout=timeout) for number in (1, 2)
        )
        self.here, self.there = Recorder(), Recorder()
        self._following: list[asyncio.Task[None]] = []

    def follow(self, *recorders: Recorder) -> None:
        pairs = ((self.one, self.here), (self.two, self.there))
        for broadcast, recorder in pairs:
            if not recorders or recorder in recorders:
                self._following.append(asyncio.create_task(broadcast.follow(recorder)))

    def end(self) -> None:
        assert not any(task.done() for task in self._following)
        for task in self._following:
            task.cancel()


@in_loop
async def test_an_order_is_done_when_every_worker_has_done_it() -> None:
    """The worker that was asked waits for the other, which does it once."""
    workers = Workers()
    workers.follow(workers.here)
    giving = asyncio.create_task(workers.one.give("m", "unloaded"))
    await until(lambda: workers.here.seen)
    await settle_down()
    assert not giving.done()
    workers.follow(workers.there)
    await giving
    assert workers.here.seen == workers.there.seen == [("m", "unloaded")]
    await workers.two.give("m", "loaded")
    assert workers.here.seen == workers.there.seen == [("m", "unloaded"), ("m", "loaded")]
    workers.end()


@in_loop
async def test_a_failure_is_reported() -> None:
    """The caller learns that another worker failed, and why; a failure here is raised as it is."""
    workers = Workers()
    workers.follow()
    workers.there.error = ModelUnavailableError("damaged")
    with pytest.raises(ModelUnavailableError, match=r"worker 2 failed where others .*: damaged"):
        await workers.one.give("m", "loaded")
    workers.here.error = UnknownModelError("none here", field="model")
    with pytest.raises(UnknownModelError, match=r"^none here$") as caught:
        await workers.one.give("m", "loaded")
    assert caught.value is workers.here.error
    workers.end()


@in_loop
async def test_a_busy_worker_is_waited_for_until_the_timeout() -> None:
    """The error names the workers that have yet to do it, which do it later."""
    workers = Workers(timeout=0.05)
    workers.follow(workers.here)
    late = r"^worker 2 did not finish within 0.05 s .*later make 'm' loaded"
    with pytest.raises(ModelUnavailableError, match=late):
        await workers.one.give("m", "loaded")
    workers.follow(workers.there)
    await until(lambda: workers.there.seen)
    workers.end()


@in_loop
async def test_the_others_have_their_time_once_it_is_done_here() -> None:
    """A load that takes longer than the timeout in this worker does not fail for it."""
    workers = Workers(timeout=0.2)

    async def slow(name: str, wanted: str) -> None:
        await asyncio.sleep(0.3)

    following = asyncio.create_task(workers.one.follow(slow))
    giving = asyncio.create_task(workers.one.give("m", "loaded"))
    await asyncio.sleep(0.3)
    workers.follow(workers.there)
    await giving
    following.cancel()
    workers.end()


@in_loop
async def test_of_two_orders_at_once_each_ends_as_its_own() -> None:
    """One that succeeds does not fail with a later one, which fails with its own error."""
    workers = Workers()
    first = asyncio.create_task(workers.one.give("m", "loaded"))
    second = asyncio.create_task(workers.two.give("m", "loaded"))
    await settle_down()
    outcomes = iter([None, ModelUnavailableError("damaged")])

    async def once(name: str, wanted: str) -> None:
        error = next(outcomes)
        if error is not None:
            raise error

    following = asyncio.create_task(workers.two.follow(once))
    workers.follow(workers.here)
    await first
    with pytest.raises(ModelUnavailableError, match=r"^damaged$"):
        await second
    following.cancel()
    workers.end()


@in_loop
async def test_orders_leave_nothing_behind() -> None:
    """Names come from callers: no worker's memory grows with them, nor the relay's."""
    workers = Workers()
    workers.here.error = workers.there.error = UnknownModelError("none here")
    workers.follow()
    for number in range(3):
        with pytest.raises(UnknownModelError):
            await workers.one.give(f"nope-{number}", "loaded")
    await until(lambda: len(workers.there.seen) == 3)
    await settle_down()
    for broadcast in (workers.one, workers.two):
        assert not broadcast._orders
        assert len(broadcast._locks) == 0
    assert not workers.relay.unloaded
    workers.end()


@in_loop
async def test_a_slow_model_keeps_no_other_waiting() -> None:
    """While one worker loads a model it carries out orders for others; those for one in turn."""
    workers = Workers()
    gate, seen = asyncio.Event(), list[tuple[str, str]]()

    async def slow_for_a(name: str, wanted: str) -> None:
        seen.append((name, wanted))
        if name == "a":
            await gate.wait()

    workers.follow(workers.here)
    following = asyncio.create_task(workers.two.follow(slow_for_a))
    giving = [asyncio.create_task(workers.one.give("a", "loaded"))]
    await until(lambda: seen)
    await workers.one.give("b", "loaded")
    giving.append(asyncio.create_task(workers.one.give("a", "unloaded")))
    await workers.one.give("c", "loaded")
    assert not any(task.done() for task in giving)
    gate.set()
    await asyncio.gather(*giving)
    assert seen == [("a", "loaded"), ("b", "loaded"), ("c", "loaded"), ("a", "unloaded")]
    following.cancel()
    workers.end()


@in_loop
async def test_a_dead_worker_is_not_waited_for() -> None:
    """An order ends when the worker that has yet to carry it out dies."""
    workers = Workers()
    workers.follow(workers.here)
    giving = asyncio.create_task(workers.one.give("m", "loaded"))
    await until(lambda: workers.here.seen)
    workers.relay.remove(2)
    await giving
    workers.end()


@in_loop
async def test_a_defect_is_reported_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error fails the order, and the worker goes on following."""
    workers = Workers()
    workers.follow()
    workers.here.error = ZeroDivisionError("oops")
    with pytest.raises(Exception, match="ZeroDivisionError: oops"):
        await workers.one.give("m", "loaded")
    assert "could not be loaded" in caplog.text
    workers.here.error = None
    await workers.one.give("m", "loaded")
    workers.end()


@in_loop
async def test_registries_do_as_one(tmp_path: Path) -> None:
    """Unload and load through one reach the other, one that starts later, and one that opens."""
    arithmetic_bundle.write(tmp_path)
    relay = Relay()

    def worker(number: int) -> Broadcast:
        return Broadcast(RelayedLink(relay, number), timeout=60)

    one, two = (registry(tmp_path, broadcast=worker(number)) for number in (1, 2))
    await one.open()
    await two.open()
    await one.unload("arithmetic")
    assert two.models["arithmetic"].engine is None
    late = registry(tmp_path, broadcast=worker(3))
    await late.open()
    assert late.models["arithmetic"].versions[0].state == "unloaded"
    opening = registry(tmp_path, broadcast=worker(4))
    loading = asyncio.create_task(two.load("arithmetic"))
    await settle_down()
    assert not loading.done()
    await opening.open()
    await loading
    subjects = (one, two, late, opening)
    assert all(subject.models["arithmetic"].engine for subject in subjects)
    for subject in subjects:
        await subject.close()
