"""The registry: loads, replaces and unloads bundles while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Sequence
from pathlib import Path

from app.concurrency import Locks
from app.errors import ModelUnavailableError, ServiceError
from app.registry.broadcast import Broadcast, Wanted
from app.registry.catalog import Catalog, Model
from app.registry.repository import Repository
from app.registry.scan import Found, is_name
from app.registry.versions import Load, Start, Version

logger = logging.getLogger(__name__)

LOADS_AT_ONCE = 4


class Registry(Catalog):
    """Keeps the catalog equal to what the repository holds.

    A new bundle is loaded beside the one that serves, and replaces it once it is checked and warm.
    Changes of one model are made in sequence, those of several side by side.

    Args:
        repository, default, required: as for `Catalog`.
        load, start: a bundle → checked graphs → an engine.
        broadcast: loads and unloads in every worker; None for a process that serves alone.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        default: str,
        required: Sequence[str],
        load: Load,
        start: Start,
        broadcast: Broadcast | None = None,
    ) -> None:
        super().__init__(repository, default=default, required=required)
        self._load, self._start = load, start
        self._broadcast = broadcast
        self._halted = False
        self._held = set(broadcast.unloaded) if broadcast else set[str]()
        """Models that a caller has unloaded; only a caller loads them again."""
        self._locks = Locks()
        self._loading = asyncio.Semaphore(LOADS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_refresh: set[str] = set()

    async def open(self) -> None:
        """Finds all bundles and loads them, the highest versions of required models first.

        Raises nothing: the catalog keeps each failure as a reason, and the log shows it.
        """
        if self._broadcast is not None:
            self._spawn(self._broadcast.follow(self.apply))
        await self._repository.fetch(None)
        found = await self._repository.all()
        for name in found:
            self._adopt(name, found[name])
        self.found_at_start()
        required = self.required_names()
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
        """Loads nothing after the version that is being loaded."""
        self._halted = True

    async def close(self) -> None:
        """Lets every engine answer its callers, and discards it."""
        self._halted = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        versions = [version for model in self.models.values() for version in model.versions]
        await asyncio.gather(*(one.engine.close() for one in versions if one.engine))

    async def load(self, name: str) -> None:
        """Loads what is new or changed of a model, in every worker, and ends an `unload`.

        The load continues if the caller leaves.

        Raises:
            UnknownModelError: no root has a model of this name.
            ModelUnavailableError: the highest version could not be loaded, or the root that has the
                model could not be reached; the version that served before still serves.
        """
        if not is_name(name):
            raise self.not_found(name)
        await self._change(name, "loaded")

    async def unload(self, name: str) -> None:
        """Unloads a model in every worker, and returns when its requests are answered.

        Changes of its folder don't load it again; only `load` does.

        Raises:
            UnknownModelError: no root has a model of this name.
            ModelUnavailableError: not every worker has unloaded it in time.
        """
        if name not in self.models:
            raise self.not_found(name)
        await self._change(name, "unloaded")

    async def apply(self, name: str, wanted: Wanted) -> None:
        """Loads or unloads a model in this process alone; raises as `load` and `unload` do."""
        await (self._load_here(name) if wanted == "loaded" else self._unload_here(name))

    def changed(self, names: Collection[str] | None) -> None:
        """Has the folders of these models, or of all, read again; returns at once."""
        if names is None:
            self._spawn(self._refresh_all())
            return
        for name in set(names) - self._to_refresh:
            self._to_refresh.add(name)
            self._spawn(self._refresh(name))

    async def _change(self, name: str, wanted: Wanted) -> None:
        order = self._broadcast.give if self._broadcast else self.apply
        await asyncio.shield(self._spawn(order(name, wanted)))

    async def _load_here(self, name: str) -> None:
        async with self._locks[name]:
            self._held.discard(name)
            await self._repository.fetch(name)
            await self._sync(name, again=True)
            versions = self._versions(name)
            unreached = self._repository.unreached(versions)
        highest = next((one for one in versions if one.state != "unloading"), None)
        if highest is None:
            raise self.not_found(name)
        if highest.reason or unreached:
            reason = highest.reason or f"{unreached}; what was fetched before still serves"
            detail = f"{name}/{highest.number} did not load: {reason}"
            raise ModelUnavailableError(detail, field="model")

    async def _unload_here(self, name: str) -> None:
        async with self._locks[name]:
            self._held.add(name)
            closing = [version.close() for version in self._versions(name)]
        await asyncio.gather(*closing)

    async def _refresh_all(self) -> None:
        self.changed({*await self._repository.all(), *self.models})

    async def _refresh(self, name: str) -> None:
        async with self._locks[name]:
            self._to_refresh.discard(name)
            await self._sync(name)

    async def _sync(self, name: str, *, again: bool = False) -> None:
        """Opens the versions of a model that are new on disk, then removes those that are gone.

        Args:
            again: also tries versions that failed before and have not changed since.
        """
        found = await self._repository.versions(name, self._versions(name))
        model = self._adopt(name, found)
        if model is None:
            return
        present = {*found, *self._repository.unfetched(name)}
        for version in tuple(model.versions):
            one = found.get(version.number)
            if version.number not in present or name in self._held:
                continue
            if again or one is None or not version.failed_on(one):
                await self._open(version, one)
        for version in tuple(model.versions):
            if version.number not in present:
                self._spawn(self._remove(model, version, version.close()))

    def _adopt(self, name: str, found: Collection[int]) -> Model | None:
        """The model, with a version for each number; None if it has none."""
        numbers = {*found, *self._repository.unfetched(name)}
        if not numbers and name not in self.models:
            return None
        model = self.add(name)
        for number in numbers:
            if model.version(number) is None:
                held = name in self._held
                folder = Path(name, str(number))
                model.add(Version(name, number, folder, "unloaded" if held else "loading"))
        return model

    async def _open(self, version: Version, found: Found | None) -> None:
        """Loads what was found unless it serves already, or keeps why it could not be fetched."""
        if found is not None and version.differs_from(found):
            async with self._loading:
                if self._halted:
                    return
                replaced = await version.open(found, self._load, self._start)
            if replaced is not None:
                self._spawn(replaced.drain())
        elif found is not None:
            version.reason = ""
        reason = self._repository.unfetched(version.name).get(version.number)
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

    def _versions(self, name: str) -> list[Version]:
        return self.models[name].versions if name in self.models else []

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ServiceError):
            logger.error("a model could not be updated", exc_info=error)
