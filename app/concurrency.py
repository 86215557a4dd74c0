"""Threads and locks beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

INLINE_SIZE = 16_384
"""Up to about this many pixels or bytes, work takes less time than a switch to a thread."""

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """A few threads for work whose duration depends on a number of pixels or bytes."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="offload")

    async def __call__(
        self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns `work(*args, **kwargs)`; short work runs on the event loop."""
        if size <= INLINE_SIZE:
            return work(*args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Ends the threads once their work has finished; discards work that has not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)


async def in_daemon_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking function in a new thread, and returns or raises what it does.

    A process that ends waits for the threads of `asyncio.to_thread`, but not for this one, which a
    file system that does not answer may block for ever. Cancelling does not stop the thread.
    """
    result = Future[T]()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(value)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await asyncio.wrap_future(result)


class Locks:
    """Locks by name. Unused locks are discarded, because names come from callers."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    def __getitem__(self, name: str) -> asyncio.Lock:
        """The lock of a name, the same for all that hold it or wait for it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def __len__(self) -> int:
        """The number of locks in use."""
        return len(self._locks)
