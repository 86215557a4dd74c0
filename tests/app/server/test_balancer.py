"""Who has the fewest connections, and what becomes of those that a dead worker was given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.server.balancer import Balance
from tests.app.connections import connections, fill, lose_first


@pytest.fixture(name="balance")
def _balance() -> Iterator[Balance]:
    balance = Balance(3)
    yield balance
    balance.close()


def test_nobody_is_given_anything_at_first(balance: Balance) -> None:
    """A worker counts from when it says what it holds, until it says that it is gone."""
    assert balance.lightest(1) is None
    balance.publish(2, 7)
    assert balance.lightest(1) == 2
    assert balance.lightest(2) is None
    balance.publish(2, None)
    assert balance.lightest(1) is None


def test_the_least_load_is_found(balance: Balance) -> None:
    """It must be below what is asked for, and the one who asks does not count."""
    for number, held in ((1, 0), (2, 5), (3, 4)):
        balance.publish(number, held)
    assert balance.lightest(1) == 3
    assert balance.lightest(3) == 1
    assert balance.lightest(1, below=5) == 3
    assert balance.lightest(1, below=4) is None


def test_what_waits_in_an_inbox_counts(balance: Balance) -> None:
    """A worker that was just given a connection is as full as if it had it already."""
    balance.publish(2, 1)
    balance.publish(3, 2)
    with connections(2) as [(_, first), (_, second)]:
        assert balance.inboxes[2].put(first)
        assert balance.lightest(1, below=2) is None
        assert balance.inboxes[2].put(second)
        assert balance.lightest(1) == 3


def test_the_connections_of_a_dead_worker_go_to_the_others(balance: Balance) -> None:
    """What waited for it is shared out evenly, and it is given nothing more."""
    for number in (1, 2, 3):
        balance.publish(number, 0)
    with connections(4) as pairs:
        for _, server in pairs:
            balance.inboxes[2].put(server)
        balance.bury(2)
        assert [balance.inboxes[number].waiting() for number in (1, 2, 3)] == [2, 0, 2]
        for number, (client, _) in zip((1, 3, 1, 3), pairs, strict=True):
            passed, _ = balance.inboxes[number].accept()
            with passed:
                assert passed.getpeername() == client.getsockname()
    assert balance.lightest(1) == 3


def test_what_the_others_have_no_room_for_is_kept(balance: Balance) -> None:
    """When an heir's inbox is full, connections wait for the successor instead of being closed."""
    for number, held in ((1, 0), (2, 0)):
        balance.publish(number, held)
    with connections(2) as [(_, other), (client, server)]:
        fill(balance.inboxes[1], other)
        assert balance.inboxes[2].put(server)
        balance.bury(2)
        assert balance.inboxes[2].waiting() == 1
        passed, _ = balance.inboxes[2].accept()
        with passed:
            assert passed.getpeername() == client.getsockname()


def test_a_lost_connection_does_not_keep_the_others(
    balance: Balance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes behind it is shared out all the same."""
    for number in (1, 2):
        balance.publish(number, 0)
    with connections(2) as pairs:
        for _, server in pairs:
            balance.inboxes[2].put(server)
        lose_first(balance.inboxes[2], monkeypatch)
        balance.bury(2)
        assert [balance.inboxes[number].waiting() for number in (1, 2)] == [1, 0]


def test_without_others_its_connections_wait_for_the_next(balance: Balance) -> None:
    """The successor of the only worker that served finds what waited for the dead one."""
    balance.publish(2, 0)
    with connections(1) as [(_, server)]:
        balance.inboxes[2].put(server)
        balance.bury(2)
    assert balance.inboxes[2].waiting() == 1
