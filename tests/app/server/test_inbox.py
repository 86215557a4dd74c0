"""Connections pass through an inbox whole, and none is lost in it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from app.server.inbox import Inbox
from tests.app.connections import connections, fill


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
