"""The access log: one id, one line and one count for each request, one write for each turn."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.http.access_log import LOGGER, WHOLE_BYTES, AccessLines, standard_output
from app.http.logs import JsonFormatter
from tests.app.loops import in_loop
from tests.app.serving import serving


class Recorder(io.BytesIO):
    """Keeps the sizes of its writes, and fails if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.broken = False

    @property
    def writes(self) -> int:
        return len(self.sizes)

    def write(self, data: Any, /) -> int:
        if self.broken:
            raise BrokenPipeError
        self.sizes.append(len(data))
        return super().write(data)


@pytest.fixture(autouse=True)
def info() -> Iterator[None]:
    """The access log's level is INFO."""
    logger = logging.getLogger(LOGGER)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


@in_loop
async def test_a_turns_lines_are_one_write() -> None:
    """Lines wait for the end of the turn and no longer, and stay in their order."""
    stream = Recorder()
    lines = AccessLines(stream=lambda: stream)
    lines.add(logging.INFO, {"path": "/a"})
    lines.add(logging.INFO, {"path": "/b"})
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert stream.writes == 1
    lines.add(logging.INFO, {"path": "/c"})
    await asyncio.sleep(0)
    written = [json.loads(line)["path"] for line in stream.getvalue().splitlines()]
    assert written == ["/a", "/b", "/c"]


@in_loop
async def test_a_line_has_what_other_lines_have() -> None:
    """Time, level, logger, message and worker are named and written as in the rest of the log."""
    stream = Recorder()
    lines = AccessLines(worker=3, stream=lambda: stream)
    lines.add(logging.WARNING, {"status": 200})
    await asyncio.sleep(0)
    line = json.loads(stream.getvalue())
    record = logging.makeLogRecord(
        {"name": LOGGER, "levelno": logging.WARNING, "levelname": "WARNING", "msg": "request"}
    )
    other = json.loads(JsonFormatter(3).format(record))
    assert len(line.pop("time")) == len(other.pop("time"))
    assert line == other | {"status": 200}


@in_loop
async def test_the_level_is_heeded() -> None:
    """What is below the logger's level is not written."""
    stream = Recorder()
    lines = AccessLines(stream=lambda: stream)
    lines.add(logging.DEBUG, {})
    await asyncio.sleep(0)
    assert stream.getvalue() == b""


@in_loop
async def test_a_log_that_nobody_takes_is_no_error() -> None:
    """A broken pipe loses lines and nothing else; later lines are tried again."""
    stream = Recorder()
    stream.broken = True
    lines = AccessLines(stream=lambda: stream)
    lines.add(logging.INFO, {"path": "/lost"})
    await asyncio.sleep(0)
    stream.broken = False
    lines.add(logging.INFO, {"path": "/kept"})
    await asyncio.sleep(0)
    assert b"/kept" in stream.getvalue()


@in_loop
async def test_no_write_is_cut_by_a_pipe() -> None:
    """Many lines are written in pieces of whole lines that a pipe takes at once."""
    stream = Recorder()
    lines = AccessLines(stream=lambda: stream)
    for number in range(100):
        lines.add(logging.INFO, {"path": f"/{number}"})
    await asyncio.sleep(0)
    paths = [json.loads(line)["path"] for line in stream.getvalue().splitlines()]
    assert paths == [f"/{number}" for number in range(100)]
    assert stream.sizes
    assert max(stream.sizes) <= WHOLE_BYTES


@in_loop
async def test_a_full_pipe_keeps_nobody_waiting() -> None:
    """While nobody reads the log its lines are dropped; the first after that says how many."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        lines = AccessLines(stream=lambda: writer)
        sent = 0
        while sent < 5000:
            lines.add(logging.INFO, {"path": "/" + "x" * 500})
            sent += 1
            await asyncio.sleep(0)
        first = os.read(reader.fileno(), 1 << 20)
        lines.add(logging.INFO, {"path": "/again"})
        lines.add(logging.INFO, {"path": "/and again"})
        await asyncio.sleep(0)
        later = [json.loads(line) for line in os.read(reader.fileno(), 1 << 20).splitlines()]
    kept = [json.loads(line) for line in first.splitlines()]
    assert 0 < len(kept) < sent
    assert later[0]["dropped"] == sent - len(kept)
    assert [line["path"] for line in later] == ["/again", "/and again"]


@in_loop
async def test_there_may_be_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started without it serves without an access log."""
    monkeypatch.setattr(sys, "stdout", None)
    lines = AccessLines()
    lines.add(logging.INFO, {})
    lines.flush()
    assert standard_output() is None


@pytest.mark.parametrize("sent", ["abc", "a" * 128, "0f-1_2.3:4/5+6=7@8"])
@in_loop
async def test_takes_over_the_request_id(repository: Path, sent: str) -> None:
    """A request id of safe characters comes back as it was sent."""
    async with serving(repository) as client:
        answer = await client.get("/livez", headers={"X-Request-ID": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, 'a"b', "a\tb", "<x>", "é"])
@in_loop
async def test_makes_an_id_in_place_of_a_bad_one(repository: Path, sent: str) -> None:
    """An id that could forge a line or a header is replaced, not cleaned."""
    async with serving(repository) as client:
        answer = await client.get("/livez", headers=[(b"X-Request-ID", sent.encode())])
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"].isalnum()


@in_loop
async def test_one_line_for_each_request(
    repository: Path, caplog: pytest.LogCaptureFixture, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Each request of a verb logs once, with what one needs to find it; probes stay quiet."""
    caplog.set_level(logging.INFO, "vaeserve.access")
    async with serving(repository) as client:
        await client.post("/sample?n=0", headers={"X-Request-ID": "one"})
        await client.get("/readyz")
        await client.get("/metrics")
    [written] = capfdbinary.readouterr().out.splitlines()
    line = json.loads(written)
    assert line.pop("milliseconds") > 0
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "info",
        "logger": "vaeserve.access",
        "message": "request",
        "method": "POST",
        "path": "/sample",
        "status": 422,
        "request_id": "one",
        "client": "192.0.2.7",
    }
