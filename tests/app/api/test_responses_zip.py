"""Zip files sent piece by piece, with both ends of the connection in the test's hand."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.routing import Route

from app.api.responses import ABOUT, StreamCutError, ZipResponse, pieces
from app.concurrency import Offload
from app.errors import EngineFailedError
from app.http.deadline import Deadline
from model.pixels import Images
from tests.app.inference.test_service import grey
from tests.app.loops import in_loop, settle_down

Messages = list[dict[str, Any]]


async def windows(*given: Images) -> AsyncGenerator[Images, None]:
    for images in given:
        yield images


async def parts(*given: bytes, error: BaseException | None = None) -> AsyncGenerator[bytes, None]:
    for part in given:
        yield part
    if error:
        raise error


class Exchange:
    """One request whose answer is sent, and what is left of it."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.sent: Messages = []
        self.cuts: list[tuple[str, str]] = []
        self.given_back = False
        self.gone = asyncio.Event()
        self.read = asyncio.Event()
        self.read.set()
        self.scope: dict[str, Any] = {
            "type": "http",
            "state": {"started": time.perf_counter()},
            "route": Route("/sample", lambda request: None),
        }
        self.seconds = seconds

    async def answer(self, rest: AsyncGenerator[bytes, None]) -> None:
        with ExitStack() as held:
            deadline = Deadline(Request(self.scope, self.receive), self.seconds)
            held.enter_context(deadline)
            deadline.body_is_complete()
            held.callback(self.give_back)
            response = ZipResponse(
                b"first",
                rest,
                headers={"X-A": "b"},
                deadline=deadline,
                held=held.pop_all(),
                observe=lambda route, code: self.cuts.append((route, code)),
            )
        await response(self.scope, self.receive, self.send)

    def give_back(self) -> None:
        self.given_back = True

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.read.wait()
        self.sent.append(message)

    @property
    def bodies(self) -> list[tuple[bytes, bool]]:
        return [(message["body"], message["more_body"]) for message in self.sent[1:]]


async def whole(n: int, *given: Images) -> bytes:
    found = pieces(Offload(1), windows(*given), n, {"n": np.float64(n)})
    return b"".join([piece async for piece in found])


@in_loop
async def test_the_file_holds_the_images_and_what_is_said_of_them() -> None:
    """Entries are named by their row over all windows, and the last one is JSON."""
    content = await whole(3, grey(10, 20), grey(30))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert file.namelist() == ["000000.png", "000001.png", "000002.png", ABOUT]
        shown = [np.asarray(Image.open(file.open(name))) for name in file.namelist()[:3]]
        assert json.loads(file.read(ABOUT)) == {"n": 3}
    assert [int(image[0, 0]) for image in shown] == [10, 20, 30]


@in_loop
async def test_names_sort_however_many_there_are() -> None:
    """From a million images on, names have as many digits as the last one needs."""
    content = await whole(1_000_001, grey(1))
    assert zipfile.ZipFile(io.BytesIO(content)).namelist()[0] == "0000000.png"


@in_loop
async def test_an_answer_goes_out_in_order_and_gives_back_what_it_held() -> None:
    """Head, pieces, and an end of its own, after everything was given back."""
    exchange = Exchange()
    await exchange.answer(parts(b"second", b"third"))
    assert exchange.sent[0]["type"] == "http.response.start"
    assert exchange.sent[0]["status"] == 200
    assert (b"x-a", b"b") in exchange.sent[0]["headers"]
    assert (b"content-type", b"application/zip") in exchange.sent[0]["headers"]
    assert b"content-length" not in dict(exchange.sent[0]["headers"])
    expected = [(b"first", True), (b"second", True), (b"third", True), (b"", False)]
    assert exchange.bodies == expected
    assert exchange.given_back
    assert exchange.cuts == []


@in_loop
async def test_a_failure_in_the_middle_leaves_the_answer_without_an_end() -> None:
    """The request ends in an error, and the cut is counted by its code."""
    exchange = Exchange()
    failure = EngineFailedError("the graph failed")
    with pytest.raises(StreamCutError, match="cut off: the graph failed") as cut:
        await exchange.answer(parts(b"second", error=failure))
    assert cut.value.__cause__ is failure
    assert exchange.bodies == [(b"first", True), (b"second", True)]
    assert exchange.given_back
    assert exchange.cuts == [("/sample", "engine_failed")]
    assert exchange.scope["state"]["cut"] == "engine_failed"


@in_loop
async def test_a_defect_in_the_middle_is_an_internal_error() -> None:
    """What nobody expected passes on as it is, counted."""
    exchange = Exchange()
    with pytest.raises(KeyError):
        await exchange.answer(parts(error=KeyError("x")))
    assert exchange.cuts == [("/sample", "internal")]
    assert exchange.given_back


@in_loop
async def test_a_reader_who_leaves_ends_the_work() -> None:
    """What is computed is cancelled; nobody is told, and the cut is counted as the reader's."""
    cancelled = list[bool]()

    async def stuck() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
            yield b"never"
        finally:
            cancelled.append(True)

    exchange = Exchange()
    answering = asyncio.create_task(exchange.answer(stuck()))
    await settle_down()
    exchange.gone.set()
    await answering
    assert cancelled == [True]
    assert exchange.bodies == [(b"first", True)]
    assert exchange.given_back
    assert exchange.cuts == [("/sample", "client_disconnected")]


@in_loop
async def test_a_window_that_is_late_cuts_the_answer_off() -> None:
    """Each piece has the deadline's time, to be computed and to be taken."""

    async def late() -> AsyncGenerator[bytes, None]:
        for _ in range(4):
            await asyncio.sleep(0.1)
            yield b"in time"
        await asyncio.Event().wait()

    exchange = Exchange(seconds=0.25)
    with pytest.raises(StreamCutError):
        await exchange.answer(late())
    assert exchange.bodies == [(b"first", True)] + [(b"in time", True)] * 4
    assert exchange.cuts == [("/sample", "deadline_exceeded")]
    assert exchange.given_back


@in_loop
async def test_a_reader_who_takes_nothing_is_cut_off() -> None:
    """Nothing more is computed while a piece waits for its reader, and then time is up."""
    asked = list[int]()

    async def counted() -> AsyncGenerator[bytes, None]:
        for number in range(9):
            asked.append(number)
            yield b"x"

    exchange = Exchange(seconds=0.1)
    exchange.read.clear()
    with pytest.raises(StreamCutError):
        await exchange.answer(counted())
    assert asked == []
    assert exchange.sent == []
    assert exchange.given_back


@in_loop
async def test_a_shutdown_cuts_the_answer_off() -> None:
    """A cancel from the server stays one, and everything is given back."""
    exchange = Exchange()
    exchange.read.clear()
    answering = asyncio.create_task(exchange.answer(parts(b"second")))
    await settle_down()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert exchange.given_back
    assert exchange.cuts == [("/sample", "shutting_down")]
