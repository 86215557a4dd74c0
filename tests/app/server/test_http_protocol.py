"""HTTP/1.1 connections: limits on heads and readers, and writes that leave together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.server.http_protocol import BoundedProtocol, JoinedWrites
from tests.app.loops import in_loop

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Impatient(BoundedProtocol):
    head_seconds = 0.05
    head_bytes = 1000
    stall_seconds = 0.05


class Waiting(BoundedProtocol):
    stall_seconds = 1.0


class Patient(BoundedProtocol):
    head_bytes = 1000


@asynccontextmanager
async def listening(
    protocol: type[BoundedProtocol],
    content: bytes = b"hello",
    app: ASGIApp | None = None,
    ended: Callable[[], None] = lambda: None,
) -> AsyncIterator[int]:
    config = Config(app or PlainTextResponse(content), ws="none", log_config=None)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}, ended=ended),
        "127.0.0.1",
        0,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"])
@in_loop
async def test_a_head_that_does_not_end_in_time_closes_the_connection(begun: bytes) -> None:
    """Nothing, half a line or half a head: the connection is closed when the time is over."""
    async with listening(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        assert await reader.read() == b""
        writer.close()


@in_loop
async def test_a_second_head_is_bounded_too() -> None:
    """After an answer the next request on the connection has the same time for its head."""
    async with listening(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST + REQUEST[:9])
        received = await reader.read()
        writer.close()
    assert received.count(b"HTTP/1.1 200") == 1
    assert received.endswith(b"hello")


@in_loop
async def test_a_head_that_is_too_large_closes_the_connection() -> None:
    """Headers beyond the bound are not gathered."""
    async with listening(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:-2] + b"X: " + b"y" * 2000)
        assert await reader.read() == b""
        writer.close()


@in_loop
async def test_a_whole_head_that_is_too_large_is_refused() -> None:
    """A head beyond the bound is a 400 when one read brings all of it."""
    async with listening(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:-2] + b"X: " + b"y" * 2000 + b"\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()


@in_loop
async def test_a_body_does_not_count_for_the_head_behind_it() -> None:
    """The beginning of a head that comes with the end of a large body is waited for."""
    large = REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 3000\r\n\r\n") + bytes(3000)
    async with listening(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(large + REQUEST[:8])
        await reader.readuntil(b"hello")
        writer.write(REQUEST[8:])
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()


@in_loop
async def test_requests_in_time_are_answered_one_after_the_other() -> None:
    """Whole requests are answered, and their bytes do not add up over a connection."""
    async with listening(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(60):
            writer.write(REQUEST)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


LARGE = bytes(30_000_000)


@in_loop
async def test_a_reader_who_stops_is_cut_off() -> None:
    """A client that takes nothing of a large answer loses its connection, and the rest of it."""
    lost = asyncio.Event()

    class Watched(Impatient):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async with listening(Watched, LARGE) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(REQUEST)
        await lost.wait()
        received = 0
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1_000_000):
                received += len(chunk)
        writer.close()
    assert 0 < received < len(LARGE)


@in_loop
async def test_a_slow_reader_is_waited_for() -> None:
    """A client that takes something now and then gets the whole answer, however long it takes."""
    async with listening(Waiting, LARGE) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(REQUEST)
        received = 0
        while received < len(LARGE):
            received += len(await reader.read(100_000))
            await asyncio.sleep(0.005)
        writer.close()
    assert received > len(LARGE)


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method, the path and the body."""
    request = Request(scope, receive)
    text = f"<{request.method} {request.url.path} {(await request.body()).decode()}>"
    await PlainTextResponse(text)(scope, receive, send)


def asking(body: bytes, *, chunked: bool = False) -> bytes:
    """The head of a request with a body that would rather speak another protocol."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    return b"POST /a HTTP/1.1\r\nHost: x\r\n" + UPGRADE + framing + b"\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("segments", [1, 2, 3])
@in_loop
async def test_a_body_is_read_whatever_protocol_is_asked_for(
    chunked: bool, segments: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With an Upgrade the body belongs to its request, in one segment or more, and is no other."""
    head = asking(INNER, chunked=chunked)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER) if chunked else INNER
    last = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    parts = {1: [head + body + last], 2: [head, body + last], 3: [head[:70], head[70:], body, last]}
    async with listening(BoundedProtocol, app=echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts[segments]:
            writer.write(part)
            await asyncio.sleep(0.02)
        received = await reader.read()
        writer.close()
    assert received.count(b"HTTP/1.1 200") == 2
    assert b"<POST /a " + INNER + b">" in received
    assert received.endswith(b"<GET /b >")
    assert caplog.records == []


@in_loop
async def test_many_requests_that_ask_for_another_protocol() -> None:
    """Each is answered, in order, though all come at once and none has a body."""
    head = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with listening(BoundedProtocol, app=echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(head % number for number in range(50)))
        for number in range(50):
            assert (await reader.readuntil(b">")).endswith(b"<GET /%d >" % number)
        writer.close()


@in_loop
async def test_an_upgrade_and_a_close() -> None:
    """Who asks for another protocol and for the end of the connection gets the latter."""
    async with listening(BoundedProtocol, app=echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking(b"ab").replace(b"Connection: ", b"Connection: close, ") + b"ab")
        assert (await reader.read()).endswith(b"<POST /a ab>")
        writer.close()


@in_loop
async def test_tunnels_are_refused() -> None:
    """CONNECT is a 400, and what follows it is not parsed."""
    async with listening(BoundedProtocol, app=echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + INNER)
        received = await reader.read()
        writer.close()
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1


@in_loop
async def test_its_end_is_told() -> None:
    """Whoever counts connections hears when one is lost, and not when a request ends."""
    ended = asyncio.Event()
    async with listening(Patient, ended=ended.set) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await reader.readuntil(b"hello")
        assert not ended.is_set()
        writer.close()
        await ended.wait()


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
