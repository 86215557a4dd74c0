"""Threads and locks beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast
from weakref import WeakValueDictionary

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


async def in_daemon_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a function in a thread of its own, and gives what it returns or raises.

    The event loop's own threads, of `asyncio.to_thread`, are joined when the process ends, so
    that a file system that does not answer would keep it. Cancelling leaves the thread alone.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return  # cancelled
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(cast("T", value))

    def run() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await result


class Locks:
    """Locks by name; names come from callers, so none is kept that nobody uses."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    def __getitem__(self, name: str) -> asyncio.Lock:
        """The lock of a name; everyone who has it at the same time has the same one."""
        return self._locks.setdefault(name, asyncio.Lock())

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._locks)
