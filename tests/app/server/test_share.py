"""A worker keeps as many connections as the others have, and hands the rest to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.server.balancer import Balance
from app.server.share import Share
from tests.app.connections import connections, fill


@pytest.fixture(name="shares")
def _shares() -> Iterator[tuple[Share, Share]]:
    balance = Balance(2)
    yield Share(balance, 1), Share(balance, 2)
    balance.close()


def receive_all(share: Share) -> int:
    """Holds what waits in a worker's inbox, as its listener does, and returns how many."""
    held = 0
    while share.inbox.waiting():
        with share.inbox.accept()[0] as passed:
            assert share.receive(passed) is not None
            held += 1
    return held


@pytest.mark.parametrize("count", [1, 2, 3, 16, 64])
def test_connections_that_one_worker_takes_are_shared(
    shares: tuple[Share, Share], count: int
) -> None:
    """However many come to one on a turn, each worker has half; the odd one is not sent about."""
    one, other = shares
    one.open()
    other.open()
    with connections(count) as pairs:
        kept = [one.settle(server) is not None for _, server in pairs]
        assert sum(kept) == (count + 1) // 2
        assert kept[0]
        for keeps, (_, server) in zip(kept, pairs, strict=True):
            assert keeps == (server.fileno() != -1)
        assert receive_all(other) == count // 2


def test_what_waits_for_a_worker_counts_as_its_own(shares: tuple[Share, Share]) -> None:
    """A worker that was given connections hands on new ones before it has read its inbox."""
    one, other = shares
    one.open()
    other.open()
    with connections(5) as pairs:
        assert other.settle(pairs[0][1]) is not None
        for _, server in pairs[1:4]:
            assert one.inbox.put(server)
        assert one.settle(pairs[4][1]) is None


def test_an_ended_connection_makes_room(shares: tuple[Share, Share]) -> None:
    """A connection counts until it has ended; that it is said twice changes nothing."""
    one, other = shares
    one.open()
    other.open()
    with connections(4) as pairs:
        release = one.settle(pairs[0][1])
        assert release is not None
        assert one.settle(pairs[1][1]) is None
        assert receive_all(other) == 1
        assert one.settle(pairs[2][1]) is not None  # two and one
        release()
        release()
        assert one.settle(pairs[3][1]) is not None  # two and one again


def test_a_worker_that_is_not_open_is_given_nothing(shares: tuple[Share, Share]) -> None:
    """One that loads its models, or that leaves, hands all that it takes to the others."""
    one, other = shares
    other.open()
    with connections(6) as pairs:
        for _, server in pairs[:3]:
            assert one.settle(server) is None
            assert receive_all(other) == 1
        one.open()
        assert one.settle(pairs[3][1]) is not None
        one.leave()
        assert one.settle(pairs[4][1]) is None
        assert receive_all(other) == 1
        assert other.settle(pairs[5][1]) is not None
        one.open()  # its models are open by now, but it has left
        assert one.settle(pairs[3][1]) is None


def test_alone_it_keeps_all(shares: tuple[Share, Share]) -> None:
    """Where no other worker can take it, a connection stays, whether this one is open or not."""
    one, other = shares
    with connections(4) as pairs:
        assert one.settle(pairs[0][1]) is not None
        one.open()
        assert one.settle(pairs[1][1]) is not None
        other.open()
        other.leave()
        assert one.settle(pairs[2][1]) is not None
        one.leave()
        assert one.settle(pairs[3][1]) is not None


def test_what_was_handed_over_stays(shares: tuple[Share, Share]) -> None:
    """An open worker serves what it was given, even if others have fewer; a closed one does not."""
    one, other = shares
    one.open()
    other.open()
    with connections(6) as pairs:
        for _, server in pairs:
            assert one.inbox.put(server)
        assert receive_all(one) == 6
    with connections(1) as [(_, server)]:
        one.leave()
        assert one.receive(server) is None
        assert receive_all(other) == 1


def test_a_full_inbox_is_no_loss(shares: tuple[Share, Share]) -> None:
    """A worker serves a connection itself when the other takes none."""
    one, other = shares
    other.open()
    with connections(1) as [(_, server)]:
        fill(other.inbox, server)
        assert one.settle(server) is not None
        assert server.fileno() != -1
