"""The messages of one worker reach all."""

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


def test_every_message_reaches_all(relay: Relay, workers: list[Sent]) -> None:
    """An order and its outcomes come with their sender, to which they go as well."""
    relay.receive(1, ORDER)
    relay.receive(3, {"done": "k", "error": "damaged"})
    told = [
        ORDER | {"sender": 1, "workers": [1, 2, 3]},
        {"done": "k", "error": "damaged", "sender": 3, "workers": [1, 2, 3]},
    ]
    assert workers == [told, told, told]


def test_the_others_learn_of_a_dead_worker(relay: Relay, workers: list[Sent]) -> None:
    """It is sent nothing more, and no order names it."""
    relay.remove(2)
    relay.receive(1, ORDER)
    told = [{"gone": 2}, ORDER | {"sender": 1, "workers": [1, 3]}]
    assert workers == [told, [], told]


def test_an_order_outlives_its_asker(relay: Relay, workers: list[Sent]) -> None:
    """Later workers know of it."""
    relay.receive(1, ORDER)
    relay.remove(1)
    assert relay.unloaded == {"m"}


def test_only_what_is_unloaded_is_kept(relay: Relay) -> None:
    """A load ends an unload; names of models that do not exist leave nothing behind."""
    relay.receive(1, ORDER)
    assert relay.unloaded == {"m"}
    for name in ("m", "nope"):
        relay.receive(2, {"order": name, "name": name, "wanted": "loaded"})
    assert relay.unloaded == set()
