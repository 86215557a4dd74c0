"""The registry: which bundles there are, which of them serve, and why the others do not."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.daemon import in_daemon_thread
from app.engine import Engine
from app.errors import InvalidFieldError, ModelUnavailableError, UnknownModelError
from app.loader import Loaded
from model.bundle import Bundle, BundleError, open_bundle
from model.manifest import name_problem
from model.runtime import GraphError

logger = logging.getLogger(__name__)

State = Literal["unloaded", "loading", "ready", "unloading", "unavailable"]

Load = Callable[[Bundle], Loaded]
Start = Callable[[Loaded], Engine]


@dataclass(slots=True)
class Version:
    """One version of a model on disk."""

    number: int
    folder: Path
    state: State = "unloaded"
    reason: str = ""
    engine: Engine | None = None


@dataclass(slots=True)
class Model:
    """A name and its versions, highest first; `engine` is the one that serves."""

    name: str
    versions: list[Version] = field(default_factory=list)
    engine: Engine | None = None

    @property
    def reason(self) -> str:
        """Why nothing serves, or why not the highest version; empty when all is well."""
        return "; ".join(version.reason for version in self.versions if version.reason)

    @property
    def why_not_serving(self) -> str:
        """Why nothing serves: it is still loading, or every version has a reason."""
        tried = all(version.state == "unavailable" for version in self.versions)
        return self.reason if tried else "it is still loading"


class Registry:
    """Opens the bundles of the repository roots.

    Args:
        roots: folders with `<name>/<version>/`; of one version in two roots the first counts.
        default: the model for requests that name none; empty takes the only one there is.
        required: models that must serve before `problems` is empty; empty takes the default
            model, or all models when there is no default.
        load: bundle → checked graphs; blocking, runs in a thread.
        start: checked graphs → engine; runs on the event loop.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        default: str,
        required: Sequence[str],
        load: Load,
        start: Start,
    ) -> None:
        self._roots = tuple(roots)
        self._default = default
        self._required = tuple(required)
        self._load = load
        self._start = start
        self._scanned = False
        self._halted = False
        self.models: dict[str, Model] = {}

    async def open(self) -> None:
        """Finds all bundles and loads each model's highest version that can serve.

        Required models come first. Whatever goes wrong is kept as a reason and logged; nothing
        is raised.
        """
        self.models = await in_daemon_thread(_scan, self._roots)
        self._scanned = True
        required = self._required_names()
        for model in sorted(self.models.values(), key=lambda model: model.name not in required):
            await self._open_model(model)
        for problem in self.problems():
            logger.error("not ready: %s", problem)

    def halt(self) -> None:
        """Makes `open` end after the version that it is loading."""
        self._halted = True

    async def close(self) -> None:
        """Lets every engine answer its callers, and drops it."""
        engines = [model.engine for model in self.models.values() if model.engine]
        await asyncio.gather(*(engine.close() for engine in engines))

    @property
    def default_name(self) -> str | None:
        """The model for requests that name none, or None when there is no such model."""
        if self._default:
            return self._default
        return next(iter(self.models)) if len(self.models) == 1 else None

    def engine(self, name: str | None, version: int | None = None) -> Engine:
        """The engine of the named model, or of the default model; of one version, or the highest.

        Raises:
            InvalidFieldError: no name was given and there is no default.
            UnknownModelError: there is no model of that name, or no such version.
            ModelUnavailableError: it is loading, or none of its versions can serve.
        """
        wanted = name or self.default_name
        if wanted is None and self._scanned and self.models:
            detail = f"name one of the models with ?model=: {self._names()}"
            raise InvalidFieldError(detail, field="model")
        model = self.models.get(wanted or "")
        if model is None:
            raise self._absent(wanted)
        if version is not None:
            return self._engine_of(model, version)
        if model.engine is None:
            detail = f"the model {wanted!r} can't serve: {model.why_not_serving}"
            raise ModelUnavailableError(detail, field="model", retry_after=5)
        return model.engine

    async def load(self, name: str) -> None:
        """Loads a model again.

        Raises:
            UnknownModelError: there is no model of that name.
            ModelUnavailableError: no version could be loaded.
        """
        await self.unload(name)
        await self._open_model(self.models[name])
        self.engine(name)

    async def unload(self, name: str) -> None:
        """Takes a model out of service.

        Raises:
            UnknownModelError: there is no model of that name.
        """
        model = self.models.get(name)
        if model is None:
            raise self._absent(name)
        model.engine = None
        for version in model.versions:
            engine, version.engine = version.engine, None
            version.state, version.reason = "unloaded", ""
            if engine is not None:
                await engine.close()

    @staticmethod
    def _engine_of(model: Model, number: int) -> Engine:
        for version in model.versions:
            if version.number == number and version.engine is not None:
                return version.engine
            if version.number == number:
                detail = f"{model.name}/{number} can't serve: {version.reason or version.state}"
                raise ModelUnavailableError(detail, field="version", retry_after=5)
        known = ", ".join(str(version.number) for version in model.versions)
        detail = f"{model.name!r} has no version {number}; there is {known}"
        raise UnknownModelError(detail, field="version")

    def problems(self) -> list[str]:
        """Why the server is not ready, a sentence for each reason; empty when it is."""
        if not self._scanned:
            return ["the models are still loading"]
        if not self.models:
            roots = ", ".join(str(root) for root in self._roots)
            return [f"there is no bundle, <name>/<version>/manifest.json, in {roots}"]
        return [sentence for name in self._required_names() if (sentence := self._problem(name))]

    def warnings(self) -> list[str]:
        """Why versions do not serve, of every model, a sentence for each; ready or not."""
        return [
            f"{model.name}/{version.number}: {version.reason}"
            for model in self.models.values()
            for version in model.versions
            if version.reason
        ]

    def _required_names(self) -> tuple[str, ...]:
        default = self.default_name
        return self._required or ((default,) if default else tuple(self.models))

    def _problem(self, name: str) -> str:
        model = self.models.get(name)
        if model is None:
            return f"the model {name!r} is required and not there; found: {self._names()}"
        return "" if model.engine else f"{name}: {model.why_not_serving}"

    def _absent(self, wanted: str | None) -> UnknownModelError | ModelUnavailableError:
        if not self._scanned:
            return ModelUnavailableError("the models are still loading", retry_after=1)
        if not self.models:
            return ModelUnavailableError(self.problems()[0], field="model", retry_after=5)
        detail = f"there is no model {wanted!r}; there is {self._names()}"
        return UnknownModelError(detail, field="model")

    def _names(self) -> str:
        return ", ".join(sorted(self.models))

    async def _open_model(self, model: Model) -> None:
        for version in model.versions:
            if self._halted:
                return
            version.state = "loading"
            try:
                loaded = await in_daemon_thread(self._open_version, version.folder)
                model.engine = version.engine = self._start(loaded)
            except (BundleError, GraphError) as error:
                version.state, version.reason = "unavailable", str(error)
                logger.error("%s/%d does not serve: %s", model.name, version.number, error)
                continue
            except Exception as error:  # a defect of one version must not stop the others
                version.state = "unavailable"
                version.reason = f"{version.folder}: {type(error).__name__}: {error}"
                logger.exception("%s/%d does not serve", model.name, version.number)
                continue
            version.state = "ready"
            logger.info(
                "%s/%d serves on %s, %.3f ms to decode a row",
                model.name,
                version.number,
                loaded.provider,
                loaded.decoder_row_seconds * 1000,
            )
            return

    def _open_version(self, folder: Path) -> Loaded:
        return self._load(open_bundle(folder))


def _scan(roots: Sequence[Path]) -> dict[str, Model]:
    found: dict[str, dict[int, Version]] = {}
    for root in roots:
        for folder in _folders(root):
            name, number = folder.parent.name, int(folder.name)
            if problem := name_problem(name):
                logger.warning("%s is left out: %s", folder, problem)
                continue
            found.setdefault(name, {}).setdefault(number, Version(number, folder))
    return {
        name: Model(name, [versions[number] for number in sorted(versions, reverse=True)])
        for name, versions in sorted(found.items())
    }


def _folders(root: Path) -> list[Path]:
    """The folders `<root>/*/<positive integer>`, none where the root can't be read."""
    try:
        return [
            folder
            for folder in sorted(root.glob("*/*"))
            if re.fullmatch(r"[1-9][0-9]{0,17}", folder.name) and folder.is_dir()
        ]
    except OSError as error:
        logger.error("%s can't be searched for bundles: %s", root, error)
        return []
