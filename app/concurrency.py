"""Work beside the graphs, such as decoding and parsing: short at once, long in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

INLINE_SIZE = 16_384
"""Up to about this many pixels or bytes, work is shorter than the hop to a thread and back."""

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """A few threads for work whose length follows from a number of pixels or bytes."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="offload")

    async def __call__(
        self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns `work(*args, **kwargs)`, computed on the event loop when it is short."""
        if size <= INLINE_SIZE:
            return work(*args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Ends the threads when what they run has finished; drops what has not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)
