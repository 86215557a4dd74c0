"""The repository roots that the settings name: folders, and addresses with a copy in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.registry.remote import RemoteRoot, default_cache
from app.registry.scan import FetchProblem

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
