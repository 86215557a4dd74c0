"""Accepted connections without a server: a client's end, and the server's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from app.server.balancer import Inbox

Pair = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def connections(count: int) -> Iterator[list[Pair]]:
    """Pairs (client's end, server's end) over TCP; all that is left open is closed."""
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:
        pairs = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(server.getsockname(), 60))
            pairs.append((client, stack.enter_context(server.accept()[0])))
        yield pairs


def lose_first(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the kernel lose the first connection that is taken out, as one that was reset."""
    accept, lost = inbox.accept, False

    def lose() -> tuple[socket.socket, None]:
        nonlocal lost
        connection = accept()
        if lost:
            return connection
        lost = True
        connection[0].close()
        raise ConnectionAbortedError

    monkeypatch.setattr(inbox, "accept", lose)


def fill(inbox: Inbox, connection: socket.socket) -> int:
    """Puts copies of a connection into an inbox until it is full, and returns how many."""
    for count in range(10_000):
        with connection.dup() as copy:
            if not inbox.put(copy):
                return count
    raise AssertionError("an inbox is never full")
