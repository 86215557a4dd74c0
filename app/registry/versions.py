"""A model's versions: how one is loaded, serves, is replaced, drained and closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.concurrency import in_daemon_thread
from app.inference.engine import Engine
from app.inference.loader import Loaded
from app.registry.scan import Found
from model.bundle.bundle import Bundle, BundleError, open_bundle
from model.runtime import GraphError

logger = logging.getLogger(__name__)

State = Literal["loading", "ready", "unloading", "unavailable", "unloaded"]

Load = Callable[[Bundle], Loaded]
"""Bundle → checked graphs; blocking, runs in a thread."""
Start = Callable[[Loaded], Engine]
"""Checked graphs → engine; runs on the event loop."""


@dataclass(slots=True, eq=False)
class Version:
    """One version of a model; it has an engine as long as it takes requests."""

    name: str
    """Of the model."""
    number: int
    folder: Path
    state: State = "loading"
    reason: str = ""
    """Why it does not serve; or, while it does, why it could not be replaced."""
    engine: Engine | None = None
    fingerprint: str = ""
    """Of the manifest that the engine was loaded from."""
    failed: Found | None = None
    """What could not be loaded the last time."""

    def differs_from(self, found: Found) -> bool:
        """Whether what is on disk is not what serves."""
        return self.engine is None or found.fingerprint != self.fingerprint

    def failed_on(self, found: Found) -> bool:
        """Whether this is what could not be loaded, file by file, so that it can't be now."""
        return bool(found.files) and self.failed == found

    async def open(self, found: Found, load: Load, start: Start) -> Engine | None:
        """Loads what was found beside what serves, then puts it in its place.

        Whatever goes wrong is kept as the reason and logged, and what served before serves on.

        Returns:
            The engine that was replaced, for the caller to drain.
        """
        if self.engine is None:
            self.state, self.reason, self.folder = "loading", "", found.folder
        self.failed = found
        try:
            loaded = await in_daemon_thread(_open, load, found.folder)
            engine = start(loaded)
        except (BundleError, GraphError) as error:
            self.blame(str(error))
            return None
        except Exception as error:  # a defect of one version must not stop the others
            logger.exception("%s/%d can't be loaded", self.name, self.number)
            self.blame(f"{found.folder}: {type(error).__name__}: {error}")
            return None
        replaced, self.engine = self.engine, engine
        self.state, self.reason, self.failed = "ready", "", None
        self.folder, self.fingerprint = found.folder, found.fingerprint
        logger.info(
            "%s/%d serves on %s, %.3f ms to decode a row",
            self.name,
            self.number,
            loaded.provider,
            loaded.decoder_row_seconds * 1000,
        )
        return replaced

    def blame(self, reason: str) -> None:
        """Keeps why it can't be loaded, or not be replaced by what is on disk."""
        if self.engine is None:
            self.state, self.reason = "unavailable", reason
            logger.error("%s/%d does not serve: %s", self.name, self.number, reason)
        else:
            self.reason = f"{reason}; what was loaded before serves on"
            logger.error("%s/%d is not replaced: %s", self.name, self.number, reason)

    def close(self) -> Coroutine[None, None, None]:
        """Takes it out of service at once; await what this returns for the end of its requests.

        It is "unloaded" then, unless it was opened anew meanwhile.
        """
        engine, self.engine = self.engine, None
        self.state, self.reason, self.failed = "unloading", "", None
        return self._drain(engine)

    async def _drain(self, engine: Engine | None) -> None:
        if engine is not None:
            await engine.drain()
        if self.state == "unloading":
            self.state = "unloaded"
            logger.info("%s/%d is unloaded", self.name, self.number)


@dataclass(slots=True, eq=False)
class Model:
    """A name and its versions, highest first."""

    name: str
    versions: list[Version] = field(default_factory=list)

    @property
    def engine(self) -> Engine | None:
        """The one that serves: of the highest version that has one."""
        for version in self.versions:
            if version.engine is not None:
                return version.engine
        return None

    def version(self, number: int) -> Version | None:
        """The version of that number, if there is one."""
        return next((version for version in self.versions if version.number == number), None)

    def add(self, version: Version) -> None:
        """Puts a version in its place among the others."""
        self.versions.append(version)
        self.versions.sort(key=lambda version: version.number, reverse=True)

    @property
    def reason(self) -> str:
        """Why nothing serves, or why not the highest version; empty when all is well."""
        return "; ".join(version.reason for version in self.versions if version.reason)

    @property
    def why_not_serving(self) -> str:
        """Why nothing serves: it is loading, was unloaded, or every version has a reason."""
        return _why(self.versions)


def why_not_serving(version: Version) -> str:
    """The same for one version."""
    return _why([version])


def _why(versions: list[Version]) -> str:
    states = {version.state for version in versions}
    if "loading" in states:
        return "it is still loading"
    if states <= {"unloading", "unloaded"}:
        return "it is unloaded"
    return "; ".join(version.reason for version in versions if version.reason)


def _open(load: Load, folder: Path) -> Loaded:
    return load(open_bundle(folder))
