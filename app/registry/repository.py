"""The repository: the roots that the settings name, searched in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from app.concurrency import in_daemon_thread
from app.registry.remote import RemoteRoot, default_cache
from app.registry.scan import FetchProblem, Found, Scan, scan
from app.registry.versions import Version

SHIPPED = Path(__file__).parents[2] / "model" / "bundles"
"""The bundles that come with the package."""

SHIPPED_DEFAULT = "mnist"
"""The shipped bundle that answers requests that name no model."""


class Roots:
    """The places of bundles, in the order in which they count.

    Args:
        named: folders or fsspec addresses; empty takes the bundles of the package.
        cache: folder for copies of remote bundles; empty takes the default.
    """

    def __init__(self, named: Sequence[str], cache: str = "") -> None:
        base = Path(cache) if cache else default_cache()
        folders, places = list[Path](), list[str]()
        self._remote: list[RemoteRoot] = []
        for root in named or (str(SHIPPED),):
            if is_address(root):
                remote = RemoteRoot(root, base)
                self._remote.append(remote)
                folders.append(remote.folder)
                places.append(remote.shown)
            else:
                folders.append(Path(root))
                places.append(root)
        self.folders = tuple(folders)
        self.places = tuple(places)
        copies = {remote.folder for remote in self._remote}
        self.watched = tuple(folder for folder in folders if folder not in copies)
        """The folders to watch; only this process writes to the others."""

    def fetch(self, name: str | None) -> list[FetchProblem]:
        """Updates the copies of one model or of all. Blocks; raises nothing."""
        return [problem for remote in self._remote for problem in remote.fetch(name)]


def is_address(root: str) -> bool:
    """Whether a root is an fsspec address, such as s3://bucket/prefix, and not a folder."""
    return "://" in root


Fetch = Callable[[str | None], Sequence[FetchProblem]]
"""Copies one model, or all, from addresses to folders; blocks, and runs in a thread."""


class Repository:
    """Finds the bundles in the roots, and keeps what could not be fetched.

    Args:
        roots: folders with `<name>/<version>/`; of one version in two roots the first counts.
        fetch: fills the roots that are copies of addresses.
        removal_seconds: how long a serving version may be missing before it counts as removed.
    """

    def __init__(self, roots: Sequence[Path], fetch: Fetch, removal_seconds: float) -> None:
        self._roots = tuple(roots)
        self._fetch = fetch
        self._removal_seconds = removal_seconds
        self._unfetched: dict[str, dict[int, str]] = {}
        self._unreached: dict[Path, str] = {}
        self.remarks: tuple[str, ...] = ()
        """Why whole roots could not be fetched."""

    async def fetch(self, name: str | None) -> None:
        """Fetches one model or all, and keeps the reasons of failures."""
        problems = await in_daemon_thread(self._fetch, name)
        if name is None:
            self._unfetched.clear()
        self._unfetched.pop(name or "", None)
        self.remarks = tuple(problem.reason for problem in problems if not problem.name)
        self._unreached = {
            problem.folder: problem.reason for problem in problems if problem.folder is not None
        }
        for problem in problems:
            if problem.name:
                self._unfetched.setdefault(problem.name, {})[problem.number] = problem.reason

    async def all(self) -> dict[str, dict[int, Found]]:
        """All versions in the roots, by name and number."""
        result = await self._scan(None)
        return result.models | {
            name: result.models.get(name, {})
            for name in self._unfetched
            if name not in result.models
        }

    async def versions(self, name: str, known: Sequence[Version]) -> dict[int, Found]:
        """The versions of one model.

        A serving version that is missing is searched for twice: a version is missing for a moment
        while another folder replaces it.
        """
        result = await self._scan(name)
        if any(one.engine and one.number not in result.models.get(name, {}) for one in known):
            await asyncio.sleep(self._removal_seconds)
            result = await self._scan(name)
        hidden = {
            one.number: Found(one.number, one.folder, one.fingerprint)
            for one in known
            if result.hides(one.folder)
        }
        return hidden | result.models.get(name, {})

    def unfetched(self, name: str) -> dict[int, str]:
        """Why versions of a model could not be fetched, by number."""
        return self._unfetched.get(name, {})

    def unreached(self, versions: Sequence[Version]) -> str:
        """Why the roots of these versions could not be reached; empty if they were."""
        reasons = (
            reason
            for root, reason in self._unreached.items()
            if any(root in version.folder.parents for version in versions)
        )
        return "; ".join(reasons)

    async def _scan(self, name: str | None) -> Scan:
        return await in_daemon_thread(scan, self._roots, name)
