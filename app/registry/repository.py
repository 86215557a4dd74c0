"""The repository: the roots that the settings name, searched in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from app.concurrency import in_daemon_thread
from app.registry import scan as repository
from app.registry.remote import RemoteRoot, default_cache
from app.registry.scan import FetchProblem, Found, Scan
from app.registry.versions import Version

SHIPPED = Path(__file__).parents[2] / "model" / "bundles"
"""The bundles that come with the package."""

SHIPPED_DEFAULT = "mnist"
"""Which of them answers where a request names none."""


class Roots:
    """Where bundles are, in the order in which they count.

    Args:
        named: folders or fsspec addresses; none takes the bundles that ship with the package.
        cache: folder for the copies of what is at addresses; empty takes the default.
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
        """The folders that others write to."""

    def fetch(self, name: str | None) -> list[FetchProblem]:
        """Brings the copies up to date, of one model or of all; blocking, raises nothing."""
        return [problem for remote in self._remote for problem in remote.fetch(name)]


def is_address(root: str) -> bool:
    """Whether it is for fsspec, such as s3://bucket/prefix, and no folder."""
    return "://" in root


Fetch = Callable[[str | None], Sequence[FetchProblem]]
"""Brings one model, or all, from elsewhere into the roots; blocking, runs in a thread."""


class Disk:
    """The roots as the registry sees them.

    Args:
        roots: folders with `<name>/<version>/`; of one version in two roots the first counts.
        fetch: fills those roots that are copies of others.
        removal_seconds: how long a version that serves may be missing before it counts as gone.
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
        """Fetches one model or all, and keeps why what could not be fetched."""
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
        """Everything in the roots, by name and number."""
        scan = await self._scan(None)
        return scan.models | {
            name: scan.models.get(name, {}) for name in self._unfetched if name not in scan.models
        }

    async def versions(self, name: str, known: Sequence[Version]) -> dict[int, Found]:
        """One model's versions. A known one that serves and is missing is looked for twice: it
        is missing for a moment while one folder takes the place of another."""
        scan = await self._scan(name)
        if any(one.engine and one.number not in scan.models.get(name, {}) for one in known):
            await asyncio.sleep(self._removal_seconds)
            scan = await self._scan(name)
        hidden = {
            one.number: Found(one.number, one.folder, one.fingerprint)
            for one in known
            if scan.hides(one.folder)
        }
        return hidden | scan.models.get(name, {})

    def unfetched(self, name: str) -> dict[int, str]:
        """The versions of a model that could not be fetched, and why."""
        return self._unfetched.get(name, {})

    def unreached(self, versions: Sequence[Version]) -> str:
        """Why the roots that these versions are from could not be reached; empty if they were."""
        reasons = (
            reason
            for root, reason in self._unreached.items()
            if any(root in version.folder.parents for version in versions)
        )
        return "; ".join(reasons)

    async def _scan(self, name: str | None) -> Scan:
        return await in_daemon_thread(repository.scan, self._roots, name)
