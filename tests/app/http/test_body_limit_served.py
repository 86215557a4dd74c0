"""app/http/body_limit.py under a real server: what a client on a socket sees."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn

from tests.app.limited import limited


@contextlib.asynccontextmanager
async def served(http: str) -> AsyncIterator[int]:
    """The limited application under uvicorn; its port."""
    config = uvicorn.Config(
        limited(), port=0, http=http, log_config=None, lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def talk(port: int, pieces: Iterator[bytes]) -> bytes:
    """Sends all the pieces before it reads, as many clients do; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def chunked(path: str, chunks: int, size: int = 16_384) -> Iterator[bytes]:
    """A chunked request."""
    yield f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for _ in range(chunks):
        yield b"%x\r\n" % size + b"x" * size + b"\r\n"
    yield b"0\r\n\r\n"


def announced(length: int) -> Iterator[bytes]:
    """A request with Content-Length."""
    yield f"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    for _ in range(length // 10_000):
        yield b"x" * 10_000


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_real_server_answers_clients_that_only_write(http: str) -> None:
    """Megabytes sent without reading: no broken pipe, a whole 413, and a closed connection."""

    async def scenario() -> list[bytes]:
        async with served(http) as port:
            return [
                await talk(port, chunked("/read", 200)),
                await talk(port, announced(3_000_000)),
                await talk(port, chunked("/unread", 200)),
            ]

    unannounced, refused, unread_answer = asyncio.run(asyncio.wait_for(scenario(), 60))
    for answer in (unannounced, refused):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in head.lower()
        assert body == b"body_too_large 1000 None"
    assert unread_answer.endswith(b"\r\n\r\nunread")


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_real_server_keeps_small_connections(http: str) -> None:
    """A body within the limit, read or not, leaves the connection open for the next request."""

    async def scenario() -> bytes:
        async with served(http) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n{}\r\nabcde"
            writer.write(head.format("/unread", "").encode())
            first = await reader.readuntil(b"unread")
            writer.write(head.format("/read", "Connection: close\r\n").encode())
            second = await reader.read()
            writer.close()
            await writer.wait_closed()
            return first + second

    answers = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.endswith(b"read 5")


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_real_server_refuses_before_it_grants_leave(http: str) -> None:
    """A client that sends `Expect: 100-continue` with too much gets the 413 instead of leave."""

    async def scenario() -> bytes:
        async with served(http) as port:
            request = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
            return await talk(port, iter([request + b"Expect: 100-continue\r\n\r\n"]))

    answer = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert answer.startswith(b"HTTP/1.1 413")
