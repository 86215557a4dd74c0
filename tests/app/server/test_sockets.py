"""Sockets on the service's address: held by one service, shared by its workers alone."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest

from app.server import sockets

HOST = "127.0.0.1"


@pytest.fixture(name="reserved")
def _reserved() -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(held) for held in sockets.reserve(HOST, 0)]


def port_of(held: socket.socket) -> int:
    number: int = held.getsockname()[1]
    return number


def test_a_port_in_use_is_one_sentence(reserved: list[socket.socket]) -> None:
    """A port that somebody listens on is refused, with the address and what to do."""
    reserved[0].listen()
    with pytest.raises(sockets.PortError) as refused:
        sockets.reserve(HOST, port_of(reserved[0]))
    assert str(refused.value) == (
        f"can't listen on {HOST}:{port_of(reserved[0])}: address already in use; "
        "stop the program that listens there, or set another VAE_PORT"
    )


def test_a_listener_that_would_share_is_refused_all_the_same() -> None:
    """Another program's SO_REUSEPORT socket is no invitation: it would get half the connections."""
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        foreign.bind((HOST, 0))
        foreign.listen()
        with pytest.raises(sockets.PortError, match="address already in use"):
            sockets.reserve(HOST, port_of(foreign))


def test_all_addresses_of_a_host_get_one_port() -> None:
    """With port 0 the free port is the same on every address of the name."""
    with contextlib.ExitStack() as stack:
        reserved = [stack.enter_context(held) for held in sockets.reserve("localhost", 0)]
        [number] = {port_of(held) for held in reserved}
        assert number > 0
        assert sockets.url("localhost", reserved) == f"http://localhost:{number}"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no-such-host.invalid", "can't listen on no-such-host.invalid:8000: "),
        ("192.0.2.1", "can't listen on 192.0.2.1:8000: cannot assign requested address"),
        ("2001:db8::1", "can't listen on [2001:db8::1]:8000: "),
    ],
)
def test_an_address_of_another_machine_is_refused(host: str, reason: str) -> None:
    """A host that is unknown, or not this machine's, is named."""
    with pytest.raises(sockets.PortError, match=re.escape(reason)):
        sockets.reserve(host, 8000)


def test_a_server_that_ended_does_not_block_its_port(reserved: list[socket.socket]) -> None:
    """Connections that linger after their server has closed them leave the port free."""
    number = port_of(reserved[0])
    reserved[0].listen()
    with socket.create_connection((HOST, number)) as client:
        accepted, _ = reserved[0].accept()
        accepted.close()
        assert client.recv(1) == b""
    reserved[0].close()
    [again] = sockets.reserve(HOST, number)
    again.close()


def test_workers_share_the_connections_and_the_held_socket_takes_none(
    reserved: list[socket.socket],
) -> None:
    """Of many connections each joined socket gets some, and together they get all."""
    sockets.share(reserved)
    count = 64
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(sockets.join(reserved)[0]) for _ in range(2)]
        for worker in workers:
            worker.listen(count)
            worker.setblocking(False)
        for _ in range(count):
            stack.enter_context(socket.create_connection(workers[0].getsockname()))
        taken = [_accept_all(worker) for worker in workers]
    # By chance alone, one of them would get none once in 10^19 runs.
    assert min(taken) > 0
    assert sum(taken) == count


def _accept_all(listener: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def test_a_shared_port_is_still_refused_to_others(reserved: list[socket.socket]) -> None:
    """A second service can't reserve the port, even while no worker of the first listens."""
    sockets.share(reserved)
    with pytest.raises(sockets.PortError, match="address already in use"):
        sockets.reserve(HOST, port_of(reserved[0]))


def test_what_is_not_shared_can_not_be_joined(reserved: list[socket.socket]) -> None:
    """Joining sockets that nobody shares is refused with the address."""
    reserved[0].listen()
    with pytest.raises(sockets.PortError, match=r"can't listen on .*address already in use"):
        sockets.join(reserved)
