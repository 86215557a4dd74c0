"""Deadlines and callers who leave, with a receive channel in the test's hand."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from starlette.requests import Request

from app.deadline import answer_within, receive_within
from app.errors import BodyTimeoutError, ClientDisconnectedError, DeadlineExceededError
from tests.app.loops import in_loop, settle_down


class Channel:
    """What the server would pass on of the client."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(self) -> dict[str, Any]:
        return await self.messages.get()

    def request(self, age: float = 0.0) -> Request:
        """A request that began `age` seconds ago."""
        scope = {"type": "http", "state": {"started": time.perf_counter() - age}}
        return Request(scope, self.receive)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def stuck(cancelled: list[str]) -> str:
    """A verb that never ends, and keeps whether it was cancelled."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append("cancelled")
        raise
    return "never"


async def seven() -> int:
    return 7


@in_loop
async def test_an_answer_in_time_is_returned_and_nothing_is_left_running() -> None:
    """A verb that ends is answered, and the watch for the caller ends with it."""
    assert await answer_within(Channel().request(), 5, seven()) == 7
    await settle_down()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_loop
async def test_a_caller_who_leaves_cancels_the_verb() -> None:
    """When the client closes its connection the verb is cancelled, and the task may go on."""
    channel, cancelled = Channel(), list[str]()

    async def handle() -> str:
        with pytest.raises(ClientDisconnectedError):
            await answer_within(channel.request(), 5, stuck(cancelled))
        await asyncio.sleep(0)
        return "went on"

    handling = asyncio.create_task(handle())
    await settle_down()
    channel.leave()
    assert await handling == "went on"
    assert cancelled == ["cancelled"]
    assert handling.cancelling() == 0


@in_loop
async def test_messages_of_a_body_are_no_disconnect() -> None:
    """What else the client sends does not end the verb."""
    channel = Channel()
    channel.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def slow() -> int:
        await settle_down()
        return 1

    assert await answer_within(channel.request(), 5, slow()) == 1


@in_loop
async def test_the_deadline_counts_from_the_start_of_the_request() -> None:
    """Time that the body took is gone: a request older than its deadline is given up at once."""
    cancelled = list[str]()
    with pytest.raises(DeadlineExceededError) as late:
        await answer_within(Channel().request(age=10), 3, stuck(cancelled))
    assert late.value.bound == 3
    assert cancelled == ["cancelled"]
    with pytest.raises(BodyTimeoutError):
        await receive_within(Channel().request(age=10), 3, stuck(cancelled))


@in_loop
async def test_a_cancel_from_the_server_stays_a_cancel() -> None:
    """A shutdown that cancels the task is not taken for a caller who left."""
    handling = asyncio.create_task(answer_within(Channel().request(), 5, stuck([])))
    await settle_down()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling


@in_loop
async def test_errors_of_the_verb_pass_through() -> None:
    """What the verb raises is what the caller of `answer_within` sees."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await answer_within(Channel().request(), 5, fail())
