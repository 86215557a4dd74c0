"""The repository: the roots that the settings name, searched in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from app.concurrency import in_daemon_thread
from app.registry.remote import RemoteRoot, default_cache
from app.registry.scan import Found, scan
from app.registry.versions import Version

SHIPPED = Path(__file__).parents[2] / "model" / "bundles"
"""The bundles that come with the package."""

SHIPPED_DEFAULT = "mnist"
"""The shipped bundle that answers requests that name no model."""

REMOVAL_SECONDS = 1.0


class Repository:
    """The bundles in the roots, which are folders with `<name>/<version>/`.

    Of one version in two roots the first counts.

    Args:
        roots: folders, or fsspec addresses such as s3://bucket/prefix; empty takes the bundles of
            the package.
        cache: folder for copies of remote bundles; empty takes the default.
        removal_seconds: how long a serving version may be missing before it counts as removed.
    """

    def __init__(
        self, roots: Sequence[str], cache: str = "", removal_seconds: float = REMOVAL_SECONDS
    ) -> None:
        base = Path(cache) if cache else default_cache()
        found = [
            RemoteRoot(root, base) if "://" in root else Path(root)
            for root in roots or (str(SHIPPED),)
        ]
        self._remote = [root for root in found if isinstance(root, RemoteRoot)]
        self._folders = [root if isinstance(root, Path) else root.folder for root in found]
        self._removal_seconds = removal_seconds
        self.places = [str(root) if isinstance(root, Path) else root.shown for root in found]
        """The roots as messages name them."""
        self.watched = [root for root in found if isinstance(root, Path)]
        """The folders to watch; only this process writes to the copies of the others."""

    @property
    def remarks(self) -> list[str]:
        """Why whole roots could not be fetched."""
        return [root.problem for root in self._remote if root.problem]

    async def fetch(self, name: str | None) -> None:
        """Updates the copies of one model or of all, and keeps the reasons of failures."""
        for root in self._remote:
            await in_daemon_thread(root.fetch, name)

    async def all(self) -> dict[str, dict[int, Found]]:
        """All versions in the roots, by name and number."""
        found = await in_daemon_thread(scan, self._folders)
        return {name: {} for root in self._remote for name in root.unfetched} | found.models

    async def versions(self, name: str, known: Sequence[Version]) -> dict[int, Found]:
        """The versions of one model.

        A serving version that is missing is searched for twice: a version is missing for a moment
        while another folder replaces it.
        """
        result = await in_daemon_thread(scan, self._folders, name)
        if any(one.engine and one.number not in result.models.get(name, {}) for one in known):
            await asyncio.sleep(self._removal_seconds)
            result = await in_daemon_thread(scan, self._folders, name)
        hidden = {
            one.number: Found(one.number, one.folder, one.fingerprint)
            for one in known
            if result.hides(one.folder)
        }
        return hidden | result.models.get(name, {})

    def unfetched(self, name: str) -> dict[int, str]:
        """Why versions of a model could not be fetched, by number."""
        reasons = [root.unfetched.get(name, {}) for root in self._remote]
        return {number: reason for one in reasons for number, reason in one.items()}

    def unreached(self, versions: Sequence[Version]) -> str:
        """Why the roots of these versions could not be reached; empty if they were."""
        return "; ".join(
            root.problem
            for root in self._remote
            if root.problem and any(root.folder in version.folder.parents for version in versions)
        )
