"""What one worker is told, done by all of them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from app.errors import ModelUnavailableError, UnknownModelError
from app.registry.broadcast import Orders
from tests import arithmetic_bundle
from tests.app.loops import in_loop, settle_down
from tests.app.registries import registry, until


class Recorder:
    """Carries out nothing, and remembers what it was told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.error = error

    async def __call__(self, name: str, wanted: str) -> None:
        self.seen.append((name, wanted))
        if self.error is not None:
            raise self.error


def joined(folder: Path, number: int, *, timeout: float = 60) -> Orders:
    orders = Orders(folder, number, timeout=timeout)
    orders.join()
    return orders


@in_loop
async def test_an_order_is_done_when_every_worker_has_done_it(tmp_path: Path) -> None:
    """The worker that was asked waits for the other, which does it once."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    here, there = Recorder(), Recorder()
    giving = asyncio.create_task(one.give("m", "unloaded", here))
    await until(lambda: here.seen)
    await settle_down()
    assert not giving.done()
    following = [asyncio.create_task(o.follow(r)) for o, r in ((one, here), (two, there))]
    await giving
    assert here.seen == there.seen == [("m", "unloaded")]
    await two.give("m", "loaded", there)
    assert here.seen == there.seen == [("m", "unloaded"), ("m", "loaded")]
    for task in following:
        task.cancel()


@in_loop
async def test_another_workers_failure_is_told(tmp_path: Path) -> None:
    """The caller learns that one of them failed, and why; its own failure comes as it is."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    following = asyncio.create_task(two.follow(Recorder(ModelUnavailableError("damaged"))))
    with pytest.raises(ModelUnavailableError, match="worker-2 did not do as the others: damaged"):
        await one.give("m", "loaded", Recorder())
    with pytest.raises(UnknownModelError, match="none here"):
        await one.give("m", "loaded", Recorder(UnknownModelError("none here")))
    following.cancel()


@in_loop
async def test_a_worker_that_is_busy_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    """The error names who has yet to do it."""
    one, _ = joined(tmp_path, 1, timeout=0), joined(tmp_path, 2)
    with pytest.raises(ModelUnavailableError, match=r"worker-2 of the workers .* 'm' is to be loa"):
        await one.give("m", "loaded", Recorder())


@in_loop
async def test_the_others_have_their_time_once_it_is_done_here(tmp_path: Path) -> None:
    """A load that takes longer than the others are given fails nothing: they began later."""
    now = 0.0
    one, two = Orders(tmp_path, 1, timeout=60, clock=lambda: now), joined(tmp_path, 2)
    one.join()

    async def slow(name: str, wanted: str) -> None:
        nonlocal now
        now += 100

    giving = asyncio.create_task(one.give("m", "loaded", slow))
    await until(lambda: now)
    await settle_down()
    following = asyncio.create_task(two.follow(Recorder()))
    await giving
    following.cancel()


@in_loop
async def test_of_two_orders_at_once_each_ends_as_its_own(tmp_path: Path) -> None:
    """One that succeeded does not fail with a later one, which fails with its own error."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    first = asyncio.create_task(one.give("m", "loaded", Recorder()))
    await settle_down()
    with pytest.raises(ModelUnavailableError, match=r"^damaged$"):
        await one.give("m", "loaded", Recorder(ModelUnavailableError("damaged")))
    assert not first.done()
    following = asyncio.create_task(two.follow(Recorder()))
    await first
    following.cancel()


@in_loop
async def test_an_order_that_was_followed_before_its_caller_came_to_it(tmp_path: Path) -> None:
    """The caller is told the error itself, though the worker carried the order out already."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    gate, begun = asyncio.Event(), asyncio.Event()

    async def held_up(name: str, wanted: str) -> None:
        begun.set()
        await gate.wait()

    failing = Recorder(ModelUnavailableError("damaged", field="model"))
    giving = [asyncio.create_task(one.give("m", "loaded", held_up))]
    await begun.wait()
    giving.append(asyncio.create_task(two.give("m", "loaded", Recorder())))
    await settle_down()
    following = [asyncio.create_task(one.follow(failing))]  # waits for the first to end
    await settle_down()
    own = asyncio.create_task(one.give("m", "loaded", Recorder()))
    await settle_down()
    gate.set()
    with pytest.raises(ModelUnavailableError, match=r"^damaged$") as caught:
        await own
    assert caught.value.field == "model"
    assert len(failing.seen) == 1
    following.append(asyncio.create_task(two.follow(Recorder())))
    await asyncio.gather(*giving, return_exceptions=True)
    for task in following:
        task.cancel()


@in_loop
async def test_an_order_for_a_model_that_there_is_not_leaves_nothing(tmp_path: Path) -> None:
    """Names come from callers: neither files nor memory grow with them, in any worker."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    here, there = (Recorder(UnknownModelError("none here")) for _ in range(2))
    following = [asyncio.create_task(o.follow(r)) for o, r in ((one, here), (two, there))]

    def traces() -> str:
        files = (tmp_path / "orders").glob("*.json")
        return " ".join(file.read_text() for file in files if "nope" in file.read_text())

    for _ in range(2):
        outcomes = await asyncio.gather(
            *(one.give(f"nope-{number}", "loaded", here) for number in (1, 2)),
            one.give("nope-2", "loaded", here),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [UnknownModelError] * 3
    await until(lambda: not traces())
    for orders in (one, two):
        assert not orders._done
        assert len(orders._locks) == 0
    here.error = there.error = None
    there.seen.clear()
    await one.give("nope-1", "loaded", here)
    assert there.seen == [("nope-1", "loaded")]
    for task in following:
        task.cancel()


@in_loop
async def test_an_order_is_kept_until_the_last_worker_has_seen_it(tmp_path: Path) -> None:
    """One that is late ends its unload as well, though the model is gone where it was asked."""
    one, two = joined(tmp_path, 1, timeout=0), joined(tmp_path, 2)
    with pytest.raises(UnknownModelError, match="none here"):
        await one.give("m", "loaded", Recorder(UnknownModelError("none here")))
    there = Recorder()
    following = asyncio.create_task(two.follow(there))
    await until(lambda: there.seen)
    assert there.seen == [("m", "loaded")]
    following.cancel()


@in_loop
async def test_a_slow_model_keeps_no_other_waiting(tmp_path: Path) -> None:
    """While one worker loads a model it does what it is told of others, and catches up after."""
    one, two = joined(tmp_path, 1), joined(tmp_path, 2)
    gate, seen = asyncio.Event(), list[tuple[str, str]]()

    async def slow_for_a(name: str, wanted: str) -> None:
        seen.append((name, wanted))
        if name == "a":
            await gate.wait()

    following = asyncio.create_task(two.follow(slow_for_a))
    giving = [asyncio.create_task(one.give("a", "loaded", Recorder()))]
    await until(lambda: seen)
    await one.give("b", "loaded", Recorder())
    giving.append(asyncio.create_task(one.give("a", "unloaded", Recorder())))
    await one.give("c", "loaded", Recorder())
    assert not any(task.done() for task in giving)
    gate.set()
    await asyncio.gather(*giving)
    assert seen == [("a", "loaded"), ("b", "loaded"), ("c", "loaded"), ("a", "unloaded")]
    following.cancel()


@in_loop
async def test_an_order_that_can_not_be_noted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the worker goes on following."""
    one, two, there = joined(tmp_path, 1), joined(tmp_path, 2), Recorder()
    following = asyncio.create_task(two.follow(there))
    right = two._note

    def full() -> None:
        monkeypatch.setattr(two, "_note", right)
        raise OSError("no space left on device")

    monkeypatch.setattr(two, "_note", full)
    giving = asyncio.create_task(one.give("m", "loaded", Recorder()))
    await until(lambda: "no space left" in caplog.text)
    await one.give("other", "loaded", Recorder())
    await giving
    assert there.seen == [("m", "loaded"), ("other", "loaded")]
    following.cancel()


@in_loop
async def test_a_worker_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    """Its report is of a process that is gone."""
    one = joined(tmp_path, 1)
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    (tmp_path / "orders" / "worker-2.json").write_text(json.dumps({"pid": ended.pid, "done": {}}))
    await one.give("m", "loaded", Recorder())


@in_loop
async def test_a_replacement_starts_from_the_orders(tmp_path: Path) -> None:
    """It keeps unloaded what was unloaded, and counts as having done so."""
    one = joined(tmp_path, 1)
    for name, wanted in (("a", "unloaded"), ("b", "unloaded"), ("b", "loaded")):
        await one.give(name, wanted, Recorder())  # type: ignore[arg-type]
    two = Orders(tmp_path, 2, timeout=0)
    assert two.join() == {"a"}
    seen = Recorder()
    following = asyncio.create_task(two.follow(seen))
    await settle_down()
    assert seen.seen == []
    report = json.loads((tmp_path / "orders" / "worker-2.json").read_text())
    assert report == {"pid": os.getpid(), "done": {"a": [1, ""], "b": [3, ""]}}
    following.cancel()


@in_loop
async def test_a_defect_is_told_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw fails the order, and the worker goes on following."""
    one = joined(tmp_path, 1)
    with pytest.raises(Exception, match="ZeroDivisionError: oops"):
        await one.give("m", "loaded", Recorder(ZeroDivisionError("oops")))
    assert "could not be loaded" in caplog.text
    await one.give("m", "loaded", Recorder())


@in_loop
async def test_two_registries_do_as_one(tmp_path: Path) -> None:
    """Unload and load through one reach the other, and a third that starts in between."""
    root, shared = tmp_path / "root", tmp_path / "shared"
    arithmetic_bundle.write(root)
    shared.mkdir()
    all_orders = [Orders(shared, number, timeout=60) for number in (1, 2, 3)]
    one, two, late = (registry(root, orders=orders) for orders in all_orders)
    following = []
    for subject, orders in ((one, all_orders[0]), (two, all_orders[1])):
        await subject.open()
        following.append(asyncio.create_task(orders.follow(subject.apply)))
    await one.unload("arithmetic")
    assert two.models["arithmetic"].engine is None
    await late.open()
    assert late.models["arithmetic"].versions[0].state == "unloaded"
    following.append(asyncio.create_task(all_orders[2].follow(late.apply)))
    await two.load("arithmetic")
    assert all(subject.models["arithmetic"].engine for subject in (one, two, late))
    for task in following:
        task.cancel()
    for subject in (one, two, late):
        await subject.close()
