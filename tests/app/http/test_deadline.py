"""Deadlines and callers who leave, with a receive channel in the test's hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import uvloop
from starlette.requests import Request

from app.errors import BodyTimeoutError, ClientDisconnectedError, DeadlineExceededError
from app.http.deadline import UNWATCHED_SECONDS, Deadline
from tests.app.loops import in_loop, settle_down

T = TypeVar("T")


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


async def answer(request: Request, seconds: float, verb: Awaitable[T]) -> T:
    """Awaits a verb as a handler does that has read the body."""
    with Deadline(request, seconds) as deadline:
        deadline.body_is_complete()
        return await verb


async def seven() -> int:
    return 7


@in_loop
async def test_an_answer_in_time_is_returned_and_nothing_is_left_running() -> None:
    """A verb that ends is answered, and the watch for the caller ends with it."""
    assert await answer(Channel().request(), 5, seven()) == 7
    assert await answer(Channel().request(), 5, asyncio.sleep(2 * UNWATCHED_SECONDS, 7)) == 7
    await settle_down()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_loop
async def test_a_caller_who_leaves_cancels_the_verb() -> None:
    """When the client closes its connection the verb is cancelled, and the task may go on."""
    channel, cancelled = Channel(), list[str]()

    async def handle() -> str:
        with pytest.raises(ClientDisconnectedError):
            await answer(channel.request(), 5, stuck(cancelled))
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

    slow = asyncio.sleep(2 * UNWATCHED_SECONDS, 1)
    assert await answer(channel.request(), 5, slow) == 1
    assert channel.messages.empty()


@in_loop
async def test_nothing_is_received_while_the_body_is_read() -> None:
    """Whoever reads the body gets all of it: the watch begins when it is complete."""
    channel = Channel()
    channel.messages.put_nowait({"type": "http.request", "body": b"x", "more_body": False})
    with Deadline(channel.request(), 5) as deadline:
        await asyncio.sleep(3 * UNWATCHED_SECONDS)
        assert channel.messages.qsize() == 1
        deadline.body_is_complete()
        await asyncio.sleep(3 * UNWATCHED_SECONDS)
        assert channel.messages.empty()


@in_loop
async def test_the_deadline_counts_from_the_start_of_the_request() -> None:
    """Time that the body took is gone: a request older than its deadline is given up at once."""
    cancelled = list[str]()
    with pytest.raises(DeadlineExceededError) as late:
        await answer(Channel().request(age=10), 3, stuck(cancelled))
    assert late.value.limit == 3
    assert cancelled == ["cancelled"]
    with pytest.raises(BodyTimeoutError), Deadline(Channel().request(age=10), 3):
        await stuck(cancelled)


@in_loop
async def test_a_renewed_deadline_counts_anew() -> None:
    """Parts that are each in time are, however long they take together; a late one is not, and
    a caller who leaves is still seen."""
    part = UNWATCHED_SECONDS

    async def parts(channel: Channel, last: Callable[[], None]) -> None:
        with Deadline(channel.request(), 3 * part) as deadline:
            deadline.body_is_complete()
            for _ in range(5):
                await asyncio.sleep(part)
                deadline.renew()
            last()
            await stuck([])

    with pytest.raises(DeadlineExceededError):
        await parts(Channel(), lambda: None)
    channel = Channel()
    with pytest.raises(ClientDisconnectedError):
        await parts(channel, channel.leave)


@in_loop
async def test_a_deadline_that_passes_meanwhile_ends_the_verb() -> None:
    """What is not ready in time is cancelled then, with nothing left of the cancellation."""
    cancelled = list[str]()
    with pytest.raises(DeadlineExceededError):
        await answer(Channel().request(), 2.5 * UNWATCHED_SECONDS, stuck(cancelled))
    assert cancelled == ["cancelled"]
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


@in_loop
async def test_a_cancel_from_the_server_stays_a_cancel() -> None:
    """A shutdown that cancels the task is not taken for a caller who left."""
    handling = asyncio.create_task(answer(Channel().request(), 5, stuck([])))
    await settle_down()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling


@in_loop
async def test_errors_of_the_verb_pass_through() -> None:
    """What the verb raises is what the block around it sees."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await answer(Channel().request(), 5, fail())


def test_a_timer_that_fires_early_starts_no_second_watch() -> None:
    """uvloop rounds the time down, so the last look may come twice; nothing is left of either."""

    async def many() -> int:
        for _ in range(20):
            with pytest.raises(DeadlineExceededError):
                await answer(Channel().request(), 1.5 * UNWATCHED_SECONDS, stuck([]))
        await settle_down()
        return len(asyncio.all_tasks())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(many()) == 1


@in_loop
async def test_a_caller_may_shorten_the_deadline() -> None:
    """A shorter one counts from the start of the request too; a longer one changes nothing."""

    async def wait(seconds: float, shortened: float) -> None:
        with Deadline(Channel().request(age=8), seconds) as deadline:
            deadline.body_is_complete()
            deadline.shorten(shortened)
            await stuck([])

    for seconds, shortened, bound in ((60, 2, 2), (5, 9, 5)):
        with pytest.raises(DeadlineExceededError) as late:
            await wait(seconds, shortened)
        assert late.value.limit == bound
