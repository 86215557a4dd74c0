"""Event loops and lanes for tests: a bounded run of a coroutine, and lanes turned by hand."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from app.inference.executor import Batch, Lanes, Source

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Makes a test of a coroutine function; one that hangs fails after 20 seconds."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


async def settle_down() -> None:
    """Lets every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class HandLanes(Lanes):
    """Lanes without threads and clock: the test takes, runs and settles each batch."""

    def __init__(self) -> None:
        super().__init__(1)
        self.source: Source[Any] | None = None

    def offer(self, source: Source[Any]) -> None:
        self.source = source

    def take(self) -> Batch:
        """The next batch; there must be one."""
        assert self.source is not None
        batch: Batch | None = self.source.take()
        assert batch is not None
        return batch

    async def finish(self, batch: Batch, seconds: float = 0.001) -> None:
        """Runs and settles a batch that is said to take `seconds`, and lets its callers go on."""
        assert self.source is not None
        failure: BaseException | None = None
        try:
            self.source.compute(batch)
        except Exception as error:
            failure = error
        self.source.settle(batch, seconds, failure)
        await settle_down()
