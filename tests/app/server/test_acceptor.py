"""Connections are taken as they come: many on one turn, none lost, none after the end."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from app.server.acceptor import MOST_A_TURN, Listener, listen
from app.server.balancer import Inbox
from tests.app.connections import connections, lose_first
from tests.app.loops import in_loop


class Greeter(asyncio.Protocol):
    """Counts its connections and says a byte to each."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        type(self).made += 1
        transport.write(b"x")
        transport.close()


@pytest.fixture(name="greeter")
def _greeter() -> type[Greeter]:
    return type("Fresh", (Greeter,), {})


@pytest.fixture(name="bound")
def _bound() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 connections tell nobody
        await asyncio.sleep(0)


@in_loop
async def test_all_that_wait_are_taken_on_one_turn(
    greeter: type[Greeter], bound: socket.socket
) -> None:
    """However long a turn of the loop takes, many connections are taken on the next."""
    listener = Listener(listen(bound), lambda _: greeter())
    clients = [socket.create_connection(bound.getsockname()) for _ in range(MOST_A_TURN + 1)]
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    loop.call_soon(turn)
    await until(lambda: greeter.made == len(clients))
    # Two to take them, and some on which the transports begin.
    assert turns <= 12
    listener.close()
    await listener.wait_closed()
    for client in clients:
        with client:
            assert client.recv(2) == b"x"


@in_loop
async def test_a_client_who_has_left_does_not_stop_the_others(
    greeter: type[Greeter], bound: socket.socket
) -> None:
    """A connection that was reset before it was taken is one connection lost, and no more."""
    listener = Listener(listen(bound), lambda _: greeter())
    leaver, stayer = (socket.create_connection(bound.getsockname()) for _ in range(2))
    leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    leaver.close()
    with stayer:
        stayer.settimeout(60)
        assert await asyncio.to_thread(stayer.recv, 1) == b"x"
    listener.close()
    await listener.wait_closed()


@in_loop
async def test_without_file_descriptors_connections_wait(
    greeter: type[Greeter], bound: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """At the limit of open files the listener says so and tries again, and loses nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener = Listener(listen(bound), lambda _: greeter())
    listener.retry_seconds = 0.01
    with socket.create_connection(bound.getsockname()) as client:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            await until(lambda: bool(caplog.messages))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "new connections have to wait: " in caplog.text
        assert greeter.made == 0
        await until(lambda: greeter.made == 1)
        assert client.recv(1) == b"x"
    listener.close()


@in_loop
async def test_nothing_is_taken_after_the_end(greeter: type[Greeter], bound: socket.socket) -> None:
    """A closed listener has given the port back, and refuses connections."""
    address = bound.getsockname()
    listener = Listener(listen(bound), lambda _: greeter())
    listener.close()
    await listener.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert greeter.made == 0


@in_loop
async def test_what_waits_at_the_end_is_taken(greeter: type[Greeter], bound: socket.socket) -> None:
    """Connections that the kernel has accepted are not cut off when the listener is closed."""
    listener = Listener(listen(bound), lambda _: greeter())
    clients = [socket.create_connection(bound.getsockname()) for _ in range(MOST_A_TURN + 1)]
    listener.close()
    listener.close()  # uvicorn closes what was closed before
    await listener.wait_closed()
    assert greeter.made == len(clients)
    await asyncio.sleep(0)
    for client in clients:
        with client:
            assert client.recv(2) == b"x"


@in_loop
async def test_what_others_handed_over_is_taken_too(greeter: type[Greeter]) -> None:
    """An inbox is a source like a listening socket."""
    inbox = Inbox()
    listener = Listener(inbox, lambda _: greeter())
    with connections(3) as pairs:
        for _, server in pairs[:2]:
            inbox.put(server)
        await until(lambda: greeter.made == 2)
        inbox.put(pairs[2][1])
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0)
        for client, _ in pairs:
            assert client.recv(2) == b"x"


@in_loop
async def test_a_lost_connection_does_not_end_the_taking(
    greeter: type[Greeter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits behind one that was aborted is taken too when the listener is closed."""
    inbox = Inbox()
    listener = Listener(inbox, lambda _: greeter())
    with connections(3) as pairs:
        for _, server in pairs:
            inbox.put(server)
        lose_first(inbox, monkeypatch)
        listener.close()
        await listener.wait_closed()
    assert greeter.made == 2


@in_loop
async def test_only_what_stays_gets_a_protocol(
    greeter: type[Greeter], bound: socket.socket
) -> None:
    """A connection that somebody else has is left alone; the others know whom to tell."""
    handed: list[socket.socket] = []
    given: list[Callable[[], None]] = []

    def end() -> None:
        pass

    def settle(connection: socket.socket) -> Callable[[], None] | None:
        if handed:
            return end
        handed.append(connection)
        return None

    def make(ended: Callable[[], None]) -> asyncio.Protocol:
        given.append(ended)
        return greeter()

    listener = Listener(listen(bound), make, settle)
    first, second = (socket.create_connection(bound.getsockname()) for _ in range(2))
    await until(lambda: greeter.made == 1)
    assert given == [end]
    listener.close()
    with first, second, handed[0] as elsewhere:
        elsewhere.sendall(b"y")
        assert (first.recv(1), second.recv(1)) == (b"y", b"x")


@in_loop
async def test_a_connection_that_fails_has_ended(bound: socket.socket) -> None:
    """One that gets no protocol is not counted for ever."""
    ended = asyncio.Event()

    def fail(_: Callable[[], None]) -> asyncio.Protocol:
        raise RuntimeError

    listener = Listener(listen(bound), fail, lambda _: ended.set)
    with socket.create_connection(bound.getsockname()) as client:
        await ended.wait()
        assert await asyncio.to_thread(client.recv, 1) == b""
    listener.close()
