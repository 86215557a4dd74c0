"""The access log: one id, one line and one count for each request."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

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
