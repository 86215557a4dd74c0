"""A repository root at an fsspec address, such as s3://bucket/prefix, and its local copy.

Only the files of bundles are fetched: `<name>/<positive integer>/manifest.json`, and the files that
it lists by plain names, none larger than it states. A version is copied into a temporary folder,
verified by its hashes, and renamed, so every version in the cache is whole. fsspec's own caches
can't replace this: they cache single files, unverified, and know nothing of a bundle.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.registry.scan import is_name, is_version
from model.bundle.bundle import (
    MANIFEST,
    MANIFEST_LIMIT,
    BundleError,
    manifest_bytes,
    open_bundle,
    read_manifest,
)

logger = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_SECRETS = re.compile(r"[^/\s@]*:[^/\s@]*@|(?<=://)[^/\s@]*@|\?[^\s'\"]*")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hf": "hf"}

FileSystem = Any
"""fsspec ships no types."""


class RemoteRoot:
    """A root at an fsspec address, and its copy in a folder below `cache`."""

    def __init__(self, address: str, cache: Path) -> None:
        self.address = address.rstrip("/")
        self.shown = _SECRETS.sub("", self.address)
        """The address without passwords and tokens."""
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", self.shown).strip("-.")[:48]
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:12]
        self.folder = cache / f"{plain}-{digest}"
        self.problem = ""
        """Why the address could not be reached the last time; empty if it was."""
        self.unfetched: dict[str, dict[int, str]] = {}
        """Why versions could not be fetched, by model and number."""

    def fetch(self, name: str | None) -> None:
        """Updates the copy of one model, or of all, and keeps why that failed. Raises nothing.

        Versions that are present and whole are not fetched again, and what was there stays if the
        address can't be reached. Of several processes one fetches, and the others wait for it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.unfetched = {
                    model: reasons
                    for model, reasons in self.unfetched.items()
                    if name not in (None, model)
                }
                self._fetch(name)
            self.problem = ""
        except Exception as error:  # each file system raises errors of its own
            self.problem = _describe(self.shown, error)
            logger.error("%s", self.problem)

    def _fetch(self, name: str | None) -> None:
        import fsspec  # only if an address is used: the import takes time and memory

        fs, path = fsspec.core.url_to_fs(self.address)
        fs.invalidate_cache()
        path = path.rstrip("/")
        found = _folders(fs, path, is_name)
        for model in found if name is None else {name}:
            numbers = _folders(fs, f"{path}/{model}", is_version) if model in found else []
            problems: dict[int, str] = {}
            for number in sorted(numbers, key=int, reverse=True):
                try:
                    _fetch_version(fs, f"{path}/{model}/{number}", self.folder / model / number)
                except Exception as error:
                    problems[int(number)] = _describe(f"{self.shown}/{model}/{number}", error)
            if problems:
                # Another dictionary: the event loop may be reading this one.
                self.unfetched = {**self.unfetched, model: problems}
            _keep_only(self.folder / model, numbers)
        if name is None:
            _keep_only(self.folder, found)


def default_cache() -> Path:
    """The user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "vaeserve"


def _fetch_version(fs: FileSystem, remote: str, folder: Path) -> None:
    """Copies one version into `folder`, unless it is there and whole.

    Raises:
        BundleError: the remote bundle is incomplete or damaged.
        Exception: an error of the file system.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fetched, replaced = Path(temporary, "fetched"), Path(temporary, "replaced")
        fetched.mkdir()
        _copy(fs, f"{remote}/{MANIFEST}", fetched / MANIFEST, MANIFEST_LIMIT)
        if _is_whole(folder, manifest_bytes(fetched)):
            return
        try:
            for name, entry in read_manifest(fetched).files.items():
                _copy(fs, f"{remote}/{name}", fetched / name, entry.bytes)
            open_bundle(fetched)
        except BundleError as error:
            raise BundleError(str(error).replace(f"{fetched}/", "")) from None
        # A folder can't be renamed over another; the registry looks twice for a missing one.
        if folder.exists():
            folder.rename(replaced)
        fetched.rename(folder)
    logger.info("%s is fetched", folder)


def _folders(fs: FileSystem, path: str, wanted: Callable[[str], bool]) -> list[str]:
    """The names of the wanted folders in a folder."""
    names = [
        entry["name"].rstrip("/").rpartition("/")[2]
        for entry in fs.ls(path, detail=True)
        if entry["type"] == "directory"
    ]
    return [name for name in names if wanted(name)]


def _copy(fs: FileSystem, source: str, target: Path, limit: int) -> None:
    left = limit
    with fs.open(source, "rb") as remote, target.open("xb") as local:
        while chunk := remote.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise BundleError(f"{source}: has more than the {limit} bytes allowed")
            local.write(chunk)


def _is_whole(folder: Path, manifest: bytes) -> bool:
    with contextlib.suppress(BundleError):
        return manifest_bytes(folder) == manifest and open_bundle(folder).folder == folder
    return False


def _keep_only(folder: Path, names: list[str]) -> None:
    """Removes folders that the address no longer has, and those of interrupted fetches."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and entry.name not in names:
            shutil.rmtree(entry, ignore_errors=True)


def _describe(where: str, error: Exception) -> str:
    reason = f"can't be fetched: {type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        protocol = where.partition("://")[0]
        extra = _EXTRAS.get(protocol)
        cure = f"pip install 'vaeserve[{extra}]'" if extra else str(error)
        reason = f"a package for {protocol}:// is not installed; {cure}"
    elif isinstance(error, FileNotFoundError):
        reason = f"{error.args[-1] if error.args else error} is missing"
    elif isinstance(error, BundleError):
        reason = str(error)
    return _SECRETS.sub("", f"{where}: {reason}")
