"""The registry: loads, replaces and unloads bundles, while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Sequence
from pathlib import Path

from app.concurrency import Locks, in_daemon_thread
from app.errors import ModelUnavailableError, ServiceError, UnknownModelError
from app.registry.broadcast import Orders, Wanted
from app.registry.catalog import Catalog
from app.registry.repository import Disk, Fetch
from app.registry.scan import Found, is_name
from app.registry.versions import Load, Model, Start, Version

logger = logging.getLogger(__name__)

LOADS_AT_ONCE = 4
REMOVAL_SECONDS = 1.0


class Registry(Catalog):
    """Keeps the models what the repository roots hold.

    What is new is loaded beside what serves, and put in its place once it is checked and warm.
    Changes of one model follow each other, those of several go side by side.

    Args:
        roots: folders with `<name>/<version>/`; of one version in two roots the first counts.
        default, required: as for `Catalog`.
        load, start: a bundle → checked graphs → an engine.
        fetch: called at the start and before a model is loaded on demand.
        orders: what several workers do together; None for a process that is alone.
        places: what to call the roots in messages; by default their paths.
        removal_seconds: how long a version may be missing before it is let go.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        default: str,
        required: Sequence[str],
        load: Load,
        start: Start,
        fetch: Fetch = lambda name: (),
        orders: Orders | None = None,
        places: Sequence[str] = (),
        removal_seconds: float = REMOVAL_SECONDS,
    ) -> None:
        names = places or [str(root) for root in roots]
        super().__init__(names, default=default, required=required)
        self._disk = Disk(roots, fetch, removal_seconds)
        self._load, self._start = load, start
        self._orders = orders
        self._halted = False
        self._held: set[str] = set()
        """Unloaded by order, until they are loaded by order."""
        self._locks = Locks()
        self._loading = asyncio.Semaphore(LOADS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: set[str] = set()

    async def open(self) -> None:
        """Finds all bundles and loads them, the highest versions of required models first.

        Whatever goes wrong is kept as a reason and logged; nothing is raised.
        """
        if self._orders is not None:
            self._held |= await in_daemon_thread(self._orders.join)
        await self._fetch(None)
        found = await self._disk.all()
        for name in found:
            self._adopt(name, found[name])
        self._at_start = tuple(self.models)
        required = self._required_names()
        jobs = [
            (model.name not in required, rank, version)
            for model in self.models.values()
            for rank, version in enumerate(model.versions)
        ]
        for _, _, version in sorted(jobs, key=lambda job: job[:2]):
            async with self._locks[version.name]:
                if version.state == "loading":
                    await self._open(version, found.get(version.name, {}).get(version.number))
        for problem in self.problems():
            logger.error("not ready: %s", problem)

    def halt(self) -> None:
        """Has nothing loaded any more after the version that is being loaded."""
        self._halted = True

    async def close(self) -> None:
        """Lets every engine answer its callers, and drops it."""
        self._halted = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        versions = [version for model in self.models.values() for version in model.versions]
        await asyncio.gather(*(one.engine.close() for one in versions if one.engine))

    async def load(self, name: str) -> None:
        """Loads what is new or changed of a model, in every worker, and ends an `unload`.

        It goes on when the caller leaves.

        Raises:
            UnknownModelError: there is no model of that name.
            ModelUnavailableError: the highest version could not be loaded, or a root that has the
                model could not be reached; what served before serves on.
        """
        if not is_name(name):
            raise self._nowhere(name)
        await asyncio.shield(self._spawn(self._carry_out(name, "loaded")))

    async def unload(self, name: str) -> None:
        """Takes a model out of service, in every worker, and returns when its requests are
        answered. Changes of its folder don't bring it back, only `load` does.

        Raises:
            UnknownModelError: there is no model of that name.
            ModelUnavailableError: not every worker has done so in time.
        """
        if name not in self.models:
            raise self._nowhere(name)
        await asyncio.shield(self._spawn(self._carry_out(name, "unloaded")))

    async def apply(self, name: str, wanted: Wanted) -> None:
        """Loads or unloads a model in this process alone; errors as of these two."""
        if wanted == "loaded":
            await self._load_here(name)
        else:
            await self._unload_here(name)

    def changed(self, names: Collection[str] | None) -> None:
        """Has the folders of these models looked at again, or of all; returns at once."""
        if names is None:
            self._spawn(self._refresh_all())
            return
        for name in set(names) - self._awaited:
            self._awaited.add(name)
            self._spawn(self._refresh(name))

    async def _carry_out(self, name: str, wanted: Wanted) -> None:
        if self._orders is None:
            await self.apply(name, wanted)
        else:
            await self._orders.give(name, wanted, self.apply)

    async def _load_here(self, name: str) -> None:
        async with self._locks[name]:
            self._held.discard(name)
            await self._fetch(name)
            await self._sync(name, again=True)
            versions = self.models[name].versions if name in self.models else []
            unreached = self._disk.unreached(versions)
        highest = next((one for one in versions if one.state != "unloading"), None)
        if highest is None:
            raise self._nowhere(name)
        if highest.reason or unreached:
            reason = highest.reason or f"{unreached}; what was fetched before serves on"
            detail = f"{name}/{highest.number} did not load: {reason}"
            raise ModelUnavailableError(detail, field="model")

    async def _unload_here(self, name: str) -> None:
        async with self._locks[name]:
            self._held.add(name)
            versions = self.models[name].versions if name in self.models else []
            closing = [version.close() for version in versions]
        await asyncio.gather(*closing)

    async def _refresh_all(self) -> None:
        self.changed({*await self._disk.all(), *self.models})

    async def _refresh(self, name: str) -> None:
        async with self._locks[name]:
            self._awaited.discard(name)
            await self._sync(name)

    async def _sync(self, name: str, *, again: bool = False) -> None:
        """Makes a model what is on disk: opens what is new, and then lets go of what is gone.

        What could not be loaded and is as it was is tried again only where that is said.
        """
        known = self.models[name].versions if name in self.models else []
        found = await self._disk.versions(name, known)
        model = self._adopt(name, found)
        if model is None:
            return
        there = {*found, *self._disk.unfetched(name)}
        for version in tuple(model.versions):
            one = found.get(version.number)
            if version.number not in there or name in self._held:
                continue
            if again or one is None or not version.failed_on(one):
                await self._open(version, one)
        for version in tuple(model.versions):
            if version.number not in there:
                self._spawn(self._remove(model, version, version.close()))

    def _adopt(self, name: str, found: Collection[int]) -> Model | None:
        """The model, with a version for each number; None when there is nothing of it."""
        numbers = {*found, *self._disk.unfetched(name)}
        model = self.models.get(name)
        if model is None:
            if not numbers:
                return None
            model = Model(name)
            self.models = dict(sorted([*self.models.items(), (name, model)]))
        for number in numbers:
            if model.version(number) is None:
                held = name in self._held
                folder = Path(name, str(number))
                model.add(Version(name, number, folder, "unloaded" if held else "loading"))
        return model

    async def _open(self, version: Version, found: Found | None) -> None:
        """Loads what was found unless it serves already, or says why it could not be fetched."""
        if found is not None and version.differs_from(found):
            async with self._loading:
                if self._halted:
                    return
                replaced = await version.open(found, self._load, self._start)
            if replaced is not None:
                self._spawn(replaced.drain())
        elif found is not None:
            version.reason = ""
        reason = self._disk.unfetched(version.name).get(version.number)
        if reason is not None:
            version.blame(reason)

    async def _remove(
        self, model: Model, version: Version, closing: Coroutine[None, None, None]
    ) -> None:
        await closing
        if version.state == "unloaded" and version in model.versions:
            model.versions.remove(version)
            if not model.versions and self.models.get(model.name) is model:
                del self.models[model.name]

    async def _fetch(self, name: str | None) -> None:
        await self._disk.fetch(name)
        self._remarks = self._disk.remarks

    def _nowhere(self, name: str) -> UnknownModelError:
        places = "; ".join((", ".join(self._places), *self._remarks))
        return UnknownModelError(f"there is no model {name!r} in {places}", field="model")

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ServiceError):
            logger.error("a model could not be brought up to date", exc_info=error)
