"""The access log: one id, one line and one count for each request."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from app.access import JsonFormatter
from tests.app.loops import in_loop
from tests.app.serving import serving


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
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request of a verb logs once, with what one needs to find it; probes stay quiet."""
    caplog.set_level(logging.INFO, "vaeserve.access")
    async with serving(repository) as client:
        await client.post("/sample?n=0", headers={"X-Request-ID": "one"})
        await client.get("/readyz")
        await client.get("/metrics")
    [record] = [one for one in caplog.records if one.name == "vaeserve.access"]
    line = json.loads(JsonFormatter().format(record))
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


def _record(message: str, **members: object) -> logging.LogRecord:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, None, None)
    record.__dict__.update(members)
    return record


def test_no_message_forges_a_second_line() -> None:
    """Line breaks and quotes in a message stay inside the JSON string."""
    line = JsonFormatter().format(_record('one\n{"level": "error"}'))
    assert "\n" not in line
    assert json.loads(line)["message"] == 'one\n{"level": "error"}'


def test_what_is_no_unicode_is_logged_all_the_same() -> None:
    """A file name with a lone surrogate does not cost the line."""
    assert json.loads(JsonFormatter().format(_record("name \udcff")))["level"] == "info"


def test_an_exception_is_part_of_its_line() -> None:
    """A traceback is a member of the one line."""
    try:
        raise ValueError("why")
    except ValueError:
        line = JsonFormatter().format(_record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: why" in json.loads(line)["exception"]
