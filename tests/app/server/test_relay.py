"""Orders of one worker reach all, and their outcomes reach the worker that asked."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from app.server.relay import Relay
from app.server.worker import WorkerHandle

ORDER = {"order": "k", "name": "m", "wanted": "unloaded"}


class Sent(list[dict[str, Any]]):
    """A worker that keeps what it is sent."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def send(self, message: dict[str, Any]) -> None:
        self.append(copy.deepcopy(message))


@pytest.fixture(name="workers")
def _workers() -> list[Sent]:
    return [Sent(number) for number in (1, 2, 3)]


@pytest.fixture(name="relay")
def _relay(workers: list[Sent]) -> Relay:
    relay = Relay()
    for worker in workers:
        relay.add(cast("WorkerHandle", worker))
    return relay


def status(waiting: list[int], *errors: str) -> dict[str, Any]:
    return {"status": "k", "waiting": waiting, "errors": list(errors)}


def test_an_order_reaches_all_and_its_outcomes_the_asker(relay: Relay, workers: list[Sent]) -> None:
    """The asker carries it out like the others, and learns who is missing and who failed."""
    relay.receive(1, ORDER)
    assert workers == [[ORDER, status([2, 3])], [ORDER], [ORDER]]
    relay.receive(3, {"done": "k", "error": ""})
    relay.receive(1, {"done": "k", "error": "its own errors it knows"})
    relay.receive(2, {"done": "k", "error": "damaged"})
    failed = "worker 2 failed where others succeeded: damaged"
    assert workers[0][2:] == [status([2]), status([], failed)]
    relay.receive(2, {"done": "k", "error": ""})
    assert len(workers[0]) == 4


def test_a_dead_worker_is_not_waited_for(relay: Relay, workers: list[Sent]) -> None:
    """An order ends when the last worker that has yet to carry it out dies."""
    relay.receive(1, ORDER)
    relay.remove(2)
    assert workers[0][-1]["waiting"] == [3]
    relay.remove(3)
    assert workers[0][-1]["waiting"] == []


def test_an_order_outlives_its_asker(relay: Relay, workers: list[Sent]) -> None:
    """The others carry it out, later workers know of it, and nobody is told the outcome."""
    relay.receive(1, ORDER)
    relay.remove(1)
    for number in (2, 3):
        relay.receive(number, {"done": "k", "error": ""})
    assert workers[1:] == [[ORDER], [ORDER]]
    assert relay.unloaded == {"m"}


def test_a_single_worker_waits_for_nobody() -> None:
    """Where the others have died an order is finished at once."""
    relay, worker = Relay(), Sent(1)
    relay.add(cast("WorkerHandle", worker))
    relay.receive(1, ORDER)
    assert worker == [ORDER, status([])]


def test_only_what_is_unloaded_is_kept(relay: Relay) -> None:
    """A load ends an unload; names of models that do not exist leave nothing behind."""
    relay.receive(1, ORDER)
    assert relay.unloaded == {"m"}
    for name in ("m", "nope"):
        relay.receive(2, {"order": name, "name": name, "wanted": "loaded"})
    assert relay.unloaded == set()
