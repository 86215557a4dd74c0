"""Requests are repeated where that may help, within the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.app.scripted import Line, Script, Time, client, no_models, problem
from vaeserve import (
    AsyncClient,
    DeadlineError,
    ProblemError,
    ResponseError,
    UnreachableError,
)


def test_retry_after_is_waited_for() -> None:
    """After 429 and 503 the next request comes no sooner than the answer asks for."""
    script = Script(
        problem(429, "queue_full", retry_after=7),
        problem(503, "model_unavailable", retry_after=9),
        no_models(),
    )
    time = Time()
    with client(script, time) as service:
        assert service.models()["models"] == []
    assert time.pauses == [7, 9]
    assert len(script.requests) == 3


def test_pauses_grow_where_nothing_is_asked_for() -> None:
    """Without Retry-After each pause is random in the upper half of a doubling ceiling."""
    script, time = Script(httpx.ConnectError("refused")), Time()
    with (
        client(script, time, attempts=9) as service,
        pytest.raises(UnreachableError, match="refused"),
    ):
        service.models()
    assert len(script.requests) == 9
    ceilings = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10)
    assert len(time.pauses) == len(ceilings)
    for pause, ceiling in zip(time.pauses, ceilings, strict=True):
        assert ceiling / 2 <= pause <= ceiling


@pytest.mark.parametrize(
    "broken",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("no answer to SYN"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed without an answer"),
        httpx.Response(503, text="a proxy's page"),
    ],
)
def test_a_broken_connection_is_tried_again(broken: Line) -> None:
    """Verbs change nothing, so whatever ends a connection before its answer is tried again."""
    script, time = Script(broken, no_models()), Time()
    with client(script, time) as service:
        assert service.models()["default"] is None
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("status", "code"), [(422, "invalid_field"), (404, "unknown_model"), (500, "internal")]
)
def test_what_will_not_pass_is_raised_at_once(status: int, code: str) -> None:
    """A refusal of the request itself is not repeated; the error has the document's members."""
    line = problem(status, code, field="n", index=3, bound=9, request_id="r1")
    script, time = Script(line), Time()
    with client(script, time) as service, pytest.raises(ProblemError) as caught:
        service.models()
    error = caught.value
    assert (error.status, error.code, error.detail) == (status, code, f"it is {code}")
    assert (error.field, error.index, error.limit, error.request_id) == ("n", 3, 9, "r1")
    assert len(script.requests) == 1
    assert not time.pauses


def test_a_pause_beyond_the_deadline_is_not_begun() -> None:
    """Where Retry-After is later than the deadline, the problem is raised without waiting."""
    script, time = Script(problem(503, "model_unavailable", retry_after=30)), Time()
    with client(script, time, deadline=29) as service, pytest.raises(ProblemError) as caught:
        service.models()
    assert caught.value.retry_after == 30
    assert not time.pauses


def test_a_late_answer_is_not_asked_for_again() -> None:
    """A timeout took what was left of the deadline."""
    script, time = Script(httpx.ReadTimeout("slow")), Time()
    with client(script, time) as service, pytest.raises(DeadlineError, match="60 s"):
        service.models()
    assert len(script.requests) == 1


def test_requests_get_what_is_left_of_the_deadline() -> None:
    """Pauses shorten the time that the next request has."""
    script, time = Script(problem(429, "queue_full", retry_after=20), no_models()), Time()
    with client(script, time, deadline=50) as service:
        service.models()
    assert [one.extensions["timeout"]["read"] for one in script.requests] == [50, 30]


def test_an_answer_that_dribbles_ends_at_the_deadline() -> None:
    """An answer whose pieces keep coming is cut off when all of them take too long."""
    time = Time()

    class Dribble(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.now += 10
                yield b" "

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Dribble()))
    with client(Script(no_models()), time) as service:
        service._http = httpx.Client(base_url="http://test", transport=transport)
        with pytest.raises(DeadlineError):
            service.models()
    assert time.now == 100 + 60


def test_other_pages_are_not_taken_for_answers() -> None:
    """A page of another server is an error that says so, with 200 and with another status."""
    time = Time()
    pages = [httpx.Response(200, text="<html>"), httpx.Response(302, text="elsewhere")]
    for page in pages:
        with client(Script(page), time) as service, pytest.raises(ResponseError):
            service.models()
    page = httpx.Response(404, text="<h1>nothing here</h1>")
    with client(Script(page), time) as service, pytest.raises(ProblemError, match="nothing here"):
        service.models()


def test_the_async_client_takes_the_same_steps() -> None:
    """Retry-After, broken connections and the last error are the same when awaited."""
    script, time = Script(problem(429, "queue_full", retry_after=7), no_models()), Time()

    async def models() -> None:
        async with AsyncClient(
            "http://test",
            transport=httpx.MockTransport(script),
            attempts=2,
        ) as service:
            service._session.clock, service._sleep = time.clock, time.sleep_async
            await service.models()
            script.lines = [httpx.ConnectError("refused")]
            with pytest.raises(UnreachableError, match="refused"):
                await service.models()

    asyncio.run(models())
    assert time.pauses[0] == 7
    assert len(script.requests) == 4


def test_the_async_client_keeps_the_deadline() -> None:
    """An answer that never comes ends at the deadline."""

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def models() -> None:
        transport = httpx.MockTransport(never)
        async with AsyncClient("http://test", transport=transport, deadline=0.01) as service:
            await service.models()

    with pytest.raises(DeadlineError):
        asyncio.run(models())
