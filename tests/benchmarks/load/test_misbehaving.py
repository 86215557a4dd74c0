"""Misbehaving clients, and how they count the service's failures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.load import misbehaving, workloads
from benchmarks.load.misbehaving import Kind, Seen

IMAGE = np.zeros((4, 4, 1), dtype=np.uint8)
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
ASKS = Kind("asks", workloads.sample(), stays=True)


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """Accepts one connection, reads until it is quiet or closed, and sends these bytes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(0.2)
                try:
                    while received := connection.recv(65536):
                        heard.append(received)
                except TimeoutError:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname(), heard
        thread.join()


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Seen(1, 1, 0)),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", Seen(1, 1, 0)),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", Seen(1, 1, 0)),
        (b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", Seen(1, 1, 0, late=1)),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", Seen(1, 1, 1)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", Seen(1, 0, 1)),
        (b"nothing of the kind\r\n\r\n", Seen(1, 0, 1)),
    ],
)
def test_only_the_service_s_own_failures_count(answer: bytes, seen: Seen) -> None:
    """Refusals and ends of a deadline are responses; a server error, an incomplete response and
    invalid HTTP are failures."""
    with answering(answer) as (address, _):
        assert misbehaving.once(address, REQUEST, ASKS) == seen


def test_a_client_that_leaves_sends_a_part_and_does_not_wait() -> None:
    """Half of a request arrives, then the connection ends."""
    leaves = Kind("leaves", workloads.sample(), sent=0.5)
    with answering(b"") as (address, heard):
        assert misbehaving.once(address, REQUEST, leaves) == Seen(1, 0, 0)
    assert b"".join(heard) == REQUEST[: round(len(REQUEST) / 2)]


def test_a_server_that_is_gone_fails() -> None:
    """A refused connection counts as a failure."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    assert misbehaving.once(address, REQUEST, ASKS) == Seen(1, 0, 1)


def test_the_kinds_cover_all_ways_to_misbehave() -> None:
    """Some leave, some request thousands, some upload 64 images, some send invalid requests."""
    kinds = misbehaving.kinds(IMAGE)
    assert any(not one.stays and one.workload.n == misbehaving.LARGE for one in kinds)
    assert any(one.sent < 1 for one in kinds)
    many = next(one.workload for one in kinds if one.name == "sends many images")
    assert many.body.count(b'name="images"') == misbehaving.MANY_IMAGES
    assert len({one.name for one in kinds}) == len(kinds)
    assert all(one.stays == (one.sent == 1) or one.workload.n == misbehaving.LARGE for one in kinds)
