"""A version of a model: how it is loaded, serves, is replaced and is closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
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
"""Bundle → checked graphs; blocks, and runs in a thread."""
Start = Callable[[Loaded], Engine]
"""Checked graphs → engine; runs on the event loop."""


@dataclass(slots=True, eq=False)
class Version:
    """One version of a model. It has an engine while it accepts requests."""

    name: str
    """Name of the model."""
    number: int
    folder: Path
    state: State = "loading"
    reason: str = ""
    """Why it does not serve, or why it could not be replaced while it serves."""
    engine: Engine | None = None
    fingerprint: str = ""
    """SHA-256 of the manifest that the engine was loaded from."""
    failed: Found | None = None
    """What failed to load the last time."""

    def differs_from(self, found: Found) -> bool:
        """Whether what was found on disk differs from what serves."""
        return self.engine is None or found.fingerprint != self.fingerprint

    def failed_on(self, found: Found) -> bool:
        """Whether exactly these files failed to load before, so they would fail again."""
        return bool(found.files) and self.failed == found

    async def open(self, found: Found, load: Load, start: Start) -> Engine | None:
        """Loads what was found, and then replaces what serves.

        A failure is logged and kept as the reason, and what served before still serves.

        Returns:
            The engine that was replaced; the caller must drain it.
        """
        if self.engine is None:
            self.state, self.reason, self.folder = "loading", "", found.folder
        self.failed = found
        try:
            loaded = await in_daemon_thread(lambda: load(open_bundle(found.folder)))
            engine = start(loaded)
        except Exception as error:  # an error in one version must not stop the others
            reason = str(error)
            if not isinstance(error, BundleError | GraphError):
                logger.exception("%s/%d can't be loaded", self.name, self.number)
                reason = f"{found.folder}: {type(error).__name__}: {error}"
            self.blame(reason)
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
        """Keeps why the version can't be loaded, or can't be replaced by what is on disk."""
        if self.engine is None:
            self.state, self.reason = "unavailable", reason
            logger.error("%s/%d does not serve: %s", self.name, self.number, reason)
        else:
            self.reason = f"{reason}; what was loaded before still serves"
            logger.error("%s/%d is not replaced: %s", self.name, self.number, reason)

    def close(self) -> Coroutine[None, None, None]:
        """Ends the service at once. Await the returned coroutine for the end of its requests.

        The version is then "unloaded", unless it was opened again meanwhile.
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


def why_not_serving(*versions: Version) -> str:
    """Why none of the versions serves: loading, unloaded, or the reason of each."""
    states = {version.state for version in versions}
    if "loading" in states:
        return "it is still loading"
    if states <= {"unloading", "unloaded"}:
        return "it is unloaded"
    return "; ".join(version.reason for version in versions if version.reason)
