"""Heads and bodies leave together, in order, and nothing is kept back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from app.server.joined_writes import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Recorder:
    """A transport that keeps what each of its calls would send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.sent.append(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def joined(recorder: Recorder) -> JoinedWrites:
    """Inside a running loop."""
    return JoinedWrites(cast("asyncio.Transport", recorder), asyncio.get_running_loop())


def test_head_and_body_are_one_call(recorder: Recorder) -> None:
    """A head and the body written right after it are sent by one call, in order."""

    async def answer() -> None:
        transport = joined(recorder)
        transport.write(HEAD)
        transport.write(b"body")
        await asyncio.sleep(0)

    asyncio.run(answer())
    assert recorder.sent == [HEAD + b"body"]


def test_lone_head_leaves_on_the_next_turn(recorder: Recorder) -> None:
    """A head without a body is sent once the event loop turns."""

    async def answer() -> list[bytes]:
        joined(recorder).write(HEAD)
        before = list(recorder.sent)
        await asyncio.sleep(0)
        return before

    assert asyncio.run(answer()) == []
    assert recorder.sent == [HEAD]


def test_later_chunks_leave_at_once(recorder: Recorder) -> None:
    """What follows the first part of a body does not wait."""

    async def answer() -> list[bytes]:
        transport = joined(recorder)
        for part in (HEAD, b"one", b"two"):
            transport.write(part)
        return list(recorder.sent)

    assert asyncio.run(answer()) == [HEAD + b"one", b"two"]


def test_bodies_that_look_like_heads_arrive(recorder: Recorder) -> None:
    """A body that ends as a head does is sent whole, in order and once."""

    async def answer() -> None:
        transport = joined(recorder)
        for part in (HEAD, b"body\r\n\r\n", HEAD, HEAD, b"0\r\n\r\n"):
            transport.write(part)
        await asyncio.sleep(0)

    asyncio.run(answer())
    assert b"".join(recorder.sent) == HEAD + b"body\r\n\r\n" + HEAD + HEAD + b"0\r\n\r\n"


def test_close_sends_what_waits_first(recorder: Recorder) -> None:
    """Closing sends a waiting head before the connection ends, and only once."""

    async def answer() -> list[bytes]:
        transport = joined(recorder)
        transport.write(HEAD)
        transport.close()
        sent = list(recorder.sent)
        await asyncio.sleep(0)
        return sent

    assert asyncio.run(answer()) == [HEAD] == recorder.sent
    assert recorder.closed


def test_nothing_is_written_to_a_lost_connection(recorder: Recorder) -> None:
    """A head that waits while the connection is lost is dropped."""

    async def answer() -> None:
        joined(recorder).write(HEAD)
        recorder.closed = True
        await asyncio.sleep(0)

    asyncio.run(answer())
    assert recorder.sent == []


def test_everything_else_is_the_transport_s(recorder: Recorder) -> None:
    """Other attributes are those of the wrapped transport."""

    async def ask() -> object:
        return joined(recorder).get_extra_info("peername")

    assert asyncio.run(ask()) == "the peername"
