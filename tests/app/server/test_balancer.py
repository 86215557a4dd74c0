"""Connections are shared evenly among workers, and none is lost."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from app.server.balancer import Balance, Inbox, Share
from tests.app.connections import connections, fill, lose_first


@pytest.fixture(name="inbox")
def _inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


def test_a_connection_passes(inbox: Inbox) -> None:
    """What comes out is what was put in, which its giver holds no longer; all in order."""
    with connections(3) as pairs:
        for _, server in pairs:
            assert inbox.put(server)
            assert server.fileno() == -1
        for client, _ in pairs:
            passed, _ = inbox.accept()
            with passed:
                assert passed.getpeername() == client.getsockname()
                assert not passed.get_inheritable()
                passed.sendall(b"x")
            assert client.recv(2) == b"x"
            assert client.recv(2) == b""  # nobody else has it open


def test_what_waits_is_counted(inbox: Inbox) -> None:
    """The count goes up and down with every connection; an empty inbox blocks nobody."""
    with connections(3) as pairs:
        for count, (_, server) in enumerate(pairs):
            assert inbox.waiting() == count
            inbox.put(server)
        for count in (3, 2, 1):
            assert inbox.waiting() == count
            inbox.accept()[0].close()
    assert inbox.waiting() == 0
    with pytest.raises(BlockingIOError):
        inbox.accept()


def test_a_full_inbox_takes_nothing(inbox: Inbox) -> None:
    """Whoever finds it full is told so at once, and has the connection still."""
    with connections(1) as [(client, server)]:
        count = fill(inbox, server)
        assert inbox.waiting() == count > 0
        assert not inbox.put(server)
        server.sendall(b"x")
        assert client.recv(1) == b"x"


def test_without_file_descriptors_it_keeps_what_is_in_it(inbox: Inbox) -> None:
    """A process at its limit of open files takes nothing out, and can do so later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connections(1) as [(_, server)]:
        inbox.put(server)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(OSError, match="Too many open files") as refused:
                inbox.accept()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert refused.value.errno == errno.EMFILE
        assert inbox.waiting() == 1
        inbox.accept()[0].close()


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
