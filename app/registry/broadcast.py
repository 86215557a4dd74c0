"""What the workers have been told to load or unload, so that all of them do it.

A request reaches one worker. It notes the order in a file of the folder that the workers share;
every worker looks at that file, carries out what is new to it, and notes in a file of its own what
it has done. A worker that replaces another one reads the orders at its start.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from app.concurrency import Locks
from app.errors import ModelUnavailableError, ServiceError, UnknownModelError

logger = logging.getLogger(__name__)

Wanted = Literal["loaded", "unloaded"]
Apply = Callable[[str, Wanted], Awaitable[None]]
"""Loads or unloads a model in this process; raises a ServiceError where it can't."""

LOOK_SECONDS = 0.2
"""How long an order may wait until another worker sees it."""

_WAIT_SECONDS = 0.02
_ORDERS = "orders.json"


class Orders:
    """The orders of all workers, as one of them sees and carries them out.

    Args:
        folder: shared by the workers.
        number: of this worker.
        timeout: seconds that the others have to carry an order out, once this worker has.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder / "orders"
        self._own = f"worker-{number}.json"
        self._timeout = timeout
        self._clock = clock
        self._done: dict[str, tuple[int, ServiceError | None]] = {}
        """Name → generation of the last order that was carried out, and how it failed."""
        self._locks = Locks()

    def join(self) -> frozenset[str]:
        """The models that are to stay unloaded; from now on the others wait for this worker."""
        self._folder.mkdir(exist_ok=True)
        with self._exclusive():
            orders = self._orders()
            self._done = {name: (generation, None) for name, (generation, _) in orders.items()}
            self._note()
        return frozenset(name for name, (_, wanted) in orders.items() if wanted == "unloaded")

    async def give(self, name: str, wanted: Wanted, apply: Apply) -> None:
        """Carries an order out here, and returns when every worker has.

        Raises:
            ServiceError: as `apply` raises.
            ModelUnavailableError: another worker failed, or has not done it in time.
        """
        generation = self._add(name, wanted)
        error = await self._carry_out(name, apply)
        if error is not None and not isinstance(error, UnknownModelError):
            raise error
        waiting = await self._late(name, generation)
        if error is not None:
            if not waiting:
                self._drop(name, generation)
            raise error
        if waiting:
            detail = (
                f"{', '.join(waiting)} of the workers did not finish within "
                f"{self._timeout:g} s, and will when they can: {name!r} is to be {wanted}"
            )
            raise ModelUnavailableError(detail, retry_after=5)
        for file, (done, reason) in self._reports(name).items():
            if reason and done >= generation:
                detail = f"{Path(file).stem} did not do as the others: {reason}"
                raise ModelUnavailableError(detail, retry_after=5)

    async def _late(self, name: str, generation: int) -> list[str]:
        """The workers that have not carried the order out in time, after waiting for them."""
        # From here on: however long it took here, it may take the others as well.
        deadline = self._clock() + self._timeout
        while waiting := self._waiting(name, generation):
            if self._clock() > deadline:
                break
            await asyncio.sleep(_WAIT_SECONDS)
        return waiting

    def _drop(self, name: str, generation: int) -> None:
        """Forgets an order that every worker has carried out, for a model that there is not.

        Names come from callers, and would fill the file.
        """
        with self._exclusive():
            orders = self._orders()
            if orders.get(name, (0, ""))[0] == generation:
                del orders[name]
                self._write_orders(orders, self._last())
        self._forget()

    def _forget(self) -> None:
        """Drops what was done for orders that are dropped."""
        gone = self._done.keys() - self._orders().keys()
        if gone:
            for name in gone:
                del self._done[name]
            self._note()

    async def follow(self, apply: Apply) -> None:
        """Carries out what other workers were told; runs until it is cancelled.

        Each model has a task of its own, so that a slow one keeps no other waiting.
        """
        seen: object = None
        busy: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    state = self._state()
                    if busy or state != seen:
                        busy = {name: task for name, task in busy.items() if not task.done()}
                        self._forget()
                        for name in self._new() - busy.keys():
                            busy[name] = group.create_task(self._catch_up(name, apply))
                        seen = state
                except Exception:  # such as a full disk, which may have room the next time
                    logger.exception("the orders can't be followed")
                await asyncio.sleep(LOOK_SECONDS)

    def _new(self) -> set[str]:
        """The models with an order that is not carried out."""
        orders = self._orders().items()
        return {name for name, (generation, _) in orders if generation > self._generation(name)}

    async def _catch_up(self, name: str, apply: Apply) -> None:
        try:
            await self._carry_out(name, apply)
        except Exception:
            logger.exception("the orders for %r can't be followed", name)

    async def _carry_out(self, name: str, apply: Apply) -> ServiceError | None:
        """Does what the latest order for a model says, unless that was done: how it failed."""
        async with self._locks[name]:
            generation, wanted = self._orders().get(name, (0, "loaded"))
            if generation <= self._generation(name):
                return copy.copy(self._done.get(name, (0, None))[1])
            error: ServiceError | None = None
            try:
                await apply(name, wanted)
            except ServiceError as failure:
                error = failure
            except Exception as failure:
                logger.exception("%r could not be %s", name, wanted)
                error = ServiceError(f"{type(failure).__name__}: {failure}")
            # A copy, since what was raised holds on to whatever its frames do.
            self._done[name] = generation, copy.copy(error)
            self._note()
            return error

    def _generation(self, name: str) -> int:
        return self._done.get(name, (0, None))[0]

    def _add(self, name: str, wanted: Wanted) -> int:
        with self._exclusive():
            generation = 1 + self._last()
            self._write_orders({**self._orders(), name: (generation, wanted)}, generation)
        return generation

    def _waiting(self, name: str, generation: int) -> list[str]:
        """The other workers that have yet to carry the order out; none if it is dropped."""
        if name not in self._orders():
            return []
        return [
            Path(file).stem for file, (done, _) in self._reports(name).items() if done < generation
        ]

    def _reports(self, name: str) -> dict[str, tuple[int, str]]:
        """What each other living worker has done last for a model."""
        reports = {}
        for path in sorted(self._folder.glob("worker-*.json")):
            report = _read(path) if path.name != self._own else {}
            # One that has ended is replaced, and its successor starts from the orders.
            if report and _lives(report["pid"]):
                generation, reason = report["done"].get(name, (0, ""))
                reports[path.name] = (generation, reason)
        return reports

    def _orders(self) -> dict[str, tuple[int, Wanted]]:
        orders = _read(self._folder / _ORDERS).get("orders", {})
        return {name: (order[0], order[1]) for name, order in orders.items()}

    def _last(self) -> int:
        """The generation of the last order, which may be dropped."""
        last: int = _read(self._folder / _ORDERS).get("last", 0)
        return last

    def _write_orders(self, orders: dict[str, tuple[int, Wanted]], last: int) -> None:
        _write(self._folder / _ORDERS, {"last": last, "orders": orders})

    def _state(self) -> tuple[int, int] | None:
        try:
            state = (self._folder / _ORDERS).stat()
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns

    def _note(self) -> None:
        done = {
            name: (generation, error.detail if error else "")
            for name, (generation, error) in self._done.items()
        }
        _write(self._folder / self._own, {"pid": os.getpid(), "done": done})

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        with (self._folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return document


def _write(path: Path, document: object) -> None:
    """In one step, so that whoever reads sees all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.replace(temporary, path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
