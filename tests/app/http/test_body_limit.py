"""Bodies are bounded by what arrives, alone and all together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.errors import ServiceError
from app.http import body_limit
from app.http.body_limit import BodyLimit
from tests.app.limited import MAX_BODY, application, limited


def scope(path: str = "/read", length: int | None = None, **changes: Any) -> Scope:
    framing = (
        (b"transfer-encoding", b"chunked")
        if length is None
        else (b"content-length", str(length).encode())
    )
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [framing],
        **changes,
    }


class Client:
    """One request's two ends: the chunks that it sends, and what it was sent."""

    def __init__(self, *chunks: bytes) -> None:
        self.left = list(chunks)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self.left:
            return {"type": "http.disconnect"}
        body = self.left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.left)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def answer(self) -> tuple[int, str]:
        bodies = [message["body"] for message in self.sent[1:]]
        return self.sent[0]["status"], b"".join(bodies).decode()

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]


def exchange(client: Client, app: BodyLimit | None = None, **about: Any) -> tuple[int, str]:
    asyncio.run((app or limited())(scope(**about), client.receive, client.send))
    return client.answer


@pytest.mark.parametrize("length", [None, MAX_BODY])
def test_a_body_at_the_limit(length: int | None) -> None:
    """Exactly as many bytes as allowed are read, announced or not, and the connection lives."""
    client = Client(b"x" * 400, b"x" * 600)

    assert exchange(client, length=length) == (200, "read 1000")
    assert not client.closes


def test_an_announced_body_above_the_limit() -> None:
    """A Content-Length above the limit is refused before a byte is read into memory."""
    client = Client(b"x" * 1001)

    assert exchange(client, length=1001) == (413, "body_too_large 1000 None")
    assert client.closes


def test_a_body_that_grows_above_the_limit() -> None:
    """Without Content-Length the body is cut off as soon as it passes the limit."""
    client = Client(b"x" * 600, b"x" * 600, b"x" * 600)

    assert exchange(client) == (413, "body_too_large 1000 None")
    assert client.closes


def test_a_body_longer_than_announced() -> None:
    """A server that let more through than was announced would not get past the count."""
    assert exchange(Client(b"x" * 600, b"x" * 600), length=10)[0] == 413


def test_the_answer_goes_out_before_the_rest_is_drained() -> None:
    """The refusal is complete on the wire before the remaining body is thrown away."""
    client = Client(b"x" * 2000, *[b"x" * 100] * 50)
    left_when_sent: list[int] = []

    async def send(message: Message) -> None:
        left_when_sent.append(len(client.left))
        await client.send(message)

    asyncio.run(limited()(scope(), client.receive, send))

    assert left_when_sent == [50, 50, 0]
    assert [message.get("more_body") for message in client.sent] == [None, True, False]


def test_draining_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never stops is cut off after a bounded number of bytes."""
    monkeypatch.setattr(body_limit, "_DRAIN_BYTES", 5000)
    client = Client(*[b"x" * 1001] * 1000)

    assert exchange(client)[0] == 413
    assert len(client.left) > 990


def test_draining_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stalls in the middle of a refused body is cut off after a bounded time."""
    monkeypatch.setattr(body_limit, "_DRAIN_SECONDS", 0.01)
    client = Client(b"x" * 1001, b"")

    async def stalling() -> Message:
        if len(client.left) < 2:
            await asyncio.Event().wait()
        return await client.receive()

    asyncio.run(limited()(scope(), stalling, client.send))

    assert client.answer[0] == 413
    assert client.sent[-1]["more_body"] is False


def test_a_client_that_waits_for_leave() -> None:
    """A client that asked before sending is answered, and not waited for."""
    client = Client(b"x" * 2000)
    headers = [(b"content-length", b"2000"), (b"expect", b"100-continue")]

    assert exchange(client, headers=headers)[0] == 413
    assert client.left


def test_an_application_that_never_reads() -> None:
    """An answer that needs no body is not turned into a refusal, however large the body."""
    short, endless = Client(b"x" * 10), Client(*[b"x" * 900] * 5)

    assert exchange(short, path="/unread", length=10) == (200, "unread")
    assert exchange(endless, path="/unread") == (200, "unread")
    assert not short.closes
    assert endless.closes
    assert not endless.left


def test_reading_again_after_the_refusal() -> None:
    """An application that catches the refusal and reads on gets the same refusal."""
    errors: list[str] = []

    async def stubborn(_: Scope, receive: Receive, send: Send) -> None:
        for _attempt in range(3):
            try:
                await receive()
            except ServiceError as error:
                errors.append(error.code)
        await PlainTextResponse("done")(scope(), receive, send)

    assert exchange(Client(b"x" * 5000), limited(stubborn), length=5000)[0] == 200
    assert errors == ["body_too_large"] * 3


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_other_protocols_pass_through(kind: str) -> None:
    """Only HTTP has bodies; everything else is handed on as it is."""
    seen: list[object] = []

    async def spy(_: Scope, receive: Receive, send: Send) -> None:
        seen.extend((receive, send))

    client = Client()
    receive, send = client.receive, client.send
    asyncio.run(limited(spy)({"type": kind}, receive, send))

    assert seen == [receive, send]


def test_requests_without_a_body_pass_through() -> None:
    """Without a header that frames a body, HTTP/1 has none, and nothing is wrapped."""
    seen: list[object] = []

    async def spy(_: Scope, receive: Receive, send: Send) -> None:
        seen.append(receive)

    client = Client()
    receive = client.receive
    asyncio.run(limited(spy)(scope(headers=[]), receive, client.send))
    asyncio.run(limited(spy)(scope(headers=[], http_version="2"), receive, client.send))

    assert seen[0] == receive
    assert seen[1] != receive


def test_an_answer_over_http_2_names_no_connection() -> None:
    """HTTP/2 forbids the Connection header, which closes the connection in HTTP/1."""
    client = Client(b"x" * 2000)

    assert exchange(client, http_version="2")[0] == 413
    assert not client.closes


def test_bodies_in_flight_are_bounded_together() -> None:
    """When all requests' bodies fill the memory, the next one gets 429, and room comes back."""

    async def scenario() -> None:
        release = asyncio.Event()

        async def holding(_: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope(), receive)
            await request.body()
            await release.wait()
            await PlainTextResponse("held")(scope(), receive, send)

        async def route(incoming: Scope, receive: Receive, send: Send) -> None:
            chosen = holding if incoming["path"] == "/hold" else application()
            await chosen(incoming, receive, send)

        app = limited(route)
        holders = [Client(b"x" * 1000) for _ in range(2)]
        tasks = [
            asyncio.create_task(app(scope("/hold"), each.receive, each.send)) for each in holders
        ]
        await asyncio.sleep(0)
        assert app.buffered_bytes == 2000

        refused, small = Client(b"x" * 501), Client(b"x" * 500)
        await app(scope(), refused.receive, refused.send)
        assert refused.answer == (429, "queue_full None 1")
        await app(scope(), small.receive, small.send)
        assert small.answer == (200, "read 500")

        release.set()
        await asyncio.gather(*tasks)
        assert app.buffered_bytes == 0

    asyncio.run(scenario())


def test_room_comes_back_after_failures() -> None:
    """Bytes of requests that fail, are refused or cancelled are not counted for ever."""

    async def failing(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        raise ValueError

    async def scenario() -> None:
        app = limited(failing)
        client = Client(b"x" * 900)
        with pytest.raises(ValueError):  # noqa: PT011 - raised right above
            await app(scope(), client.receive, client.send)
        assert app.buffered_bytes == 0

        waiting = limited()
        client = Client(b"x" * 900, b"never")

        async def stalling() -> Message:
            if len(client.left) < 2:
                await asyncio.Event().wait()
            return await client.receive()

        task = asyncio.create_task(waiting(scope(), stalling, client.send))
        await asyncio.sleep(0)
        assert waiting.buffered_bytes == 900
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert waiting.buffered_bytes == 0

    asyncio.run(scenario())
