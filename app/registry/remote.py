"""A repository root elsewhere (`s3://…` and whatever fsspec knows), copied to a local cache.

Only what a bundle consists of is fetched: `<name>/<positive integer>/manifest.json`, and the files
that it lists by plain names, none larger than it says. A version is copied into a temporary folder,
verified against its hashes, and renamed into place, so what is in the cache is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.registry.scan import FetchProblem, is_name, is_version
from model.bundle.bundle import (
    MANIFEST,
    MANIFEST_LIMIT,
    BundleError,
    manifest_bytes,
    open_bundle,
    read_manifest,
)

logger = logging.getLogger(__name__)

"""Bytes that a manifest may have."""

_CHUNK = 1024 * 1024
_SECRETS = re.compile(r"[^/\s@]*:[^/\s@]*@|(?<=://)[^/\s@]*@|\?[^\s'\"]*")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hf": "hf"}

FileSystem = Any
"""fsspec ships no types."""


class RemoteRoot:
    """A root at an fsspec address, and its copy in a folder of its own below `cache`."""

    def __init__(self, address: str, cache: Path) -> None:
        self.address = address.rstrip("/")
        self.shown = _public(self.address)
        """The address without what may be secret."""
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", self.shown).strip("-.")[:48]
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:12]
        self.folder = cache / f"{plain}-{digest}"

    def fetch(self, name: str | None) -> list[FetchProblem]:
        """Makes the copy of one model, or of all, what the address has.

        What is there already and whole is not fetched again. Of several processes one fetches, and
        the others find it done. What went wrong is told, and what was there before stays.
        """
        try:
            with _alone(self.folder):
                return self._fetch(name)
        except Exception as error:  # every file system raises its own
            reason = _public(_sentence(self.shown, error))
            logger.error("%s", reason)
            return [FetchProblem("", 0, reason, self.folder)]

    def _fetch(self, name: str | None) -> list[FetchProblem]:
        fs, path = _connect(self.address)
        found = _folders(fs, path, is_name)
        problems: list[FetchProblem] = []
        for model in found if name is None else {name}:
            numbers = _folders(fs, f"{path}/{model}", is_version) if model in found else []
            for number in sorted(numbers, key=int, reverse=True):
                where = f"{self.shown}/{model}/{number}"
                try:
                    fetch_version(fs, f"{path}/{model}/{number}", self.folder / model / number)
                except Exception as error:
                    reason = _public(_sentence(where, error))
                    problems.append(FetchProblem(model, int(number), reason))
            _keep_only(self.folder / model, numbers)
        if name is None:
            _keep_only(self.folder, found)
        return problems


def fetch_version(fs: FileSystem, remote: str, folder: Path) -> None:
    """Copies one version into `folder`, unless it is there and whole.

    Raises:
        BundleError: what was fetched is no whole bundle.
        Exception: as the file system raises.
    """
    manifest = _read(fs, f"{remote}/{MANIFEST}", MANIFEST_LIMIT)
    if _is_whole(folder, manifest):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (temporary / MANIFEST).write_bytes(manifest)
        for name, entry in read_manifest(temporary).files.items():
            _copy(fs, f"{remote}/{name}", temporary / name, entry.bytes)
        open_bundle(temporary)
        temporary.chmod(0o755)
        _put_in_place(temporary, folder)
    except BundleError as error:
        raise BundleError(str(error).replace(f"{temporary}/", "")) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    logger.info("%s is fetched", folder)


def default_cache() -> Path:
    """The user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "vaeserve"


def _connect(address: str) -> tuple[FileSystem, str]:
    import fsspec  # only where an address is used: it takes time and memory

    fs, path = fsspec.core.url_to_fs(address)
    fs.invalidate_cache()
    return fs, path.rstrip("/")


def _folders(fs: FileSystem, path: str, wanted: Callable[[str], bool]) -> list[str]:
    """The names of the folders in a folder that are wanted."""
    names = [
        entry["name"].rstrip("/").rpartition("/")[2]
        for entry in fs.ls(path, detail=True)
        if entry["type"] == "directory"
    ]
    return [name for name in names if wanted(name)]


def _read(fs: FileSystem, path: str, limit: int) -> bytes:
    with fs.open(path, "rb") as file:
        content: bytes = file.read(limit + 1)
    if len(content) > limit:
        msg = f"{path}: has more than {limit} bytes"
        raise BundleError(msg)
    return content


def _copy(fs: FileSystem, source: str, target: Path, size: int) -> None:
    left = size
    with fs.open(source, "rb") as remote, target.open("xb") as local:
        while chunk := remote.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                msg = f"{source}: has more than the {size} bytes that {MANIFEST} says"
                raise BundleError(msg)
            local.write(chunk)


def _is_whole(folder: Path, manifest: bytes) -> bool:
    try:
        if manifest_bytes(folder) != manifest:
            return False
        open_bundle(folder)
    except BundleError:
        return False
    return True


def _put_in_place(temporary: Path, folder: Path) -> None:
    """No folder can be renamed over another one; the registry looks twice for what is missing."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        folder.rename(aside / folder.name)
        temporary.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(folder)


def _keep_only(folder: Path, names: list[str]) -> None:
    """Removes what the address has no more, and what an interrupted fetch has left."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in names:
            shutil.rmtree(entry, ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process or thread fetches into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _public(text: str) -> str:
    """The text without the passwords and tokens of addresses in it."""
    return _SECRETS.sub("", text)


def _sentence(where: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        protocol = where.partition("://")[0]
        extra = _EXTRAS.get(protocol)
        cure = f"pip install 'vaeserve[{extra}]'" if extra else str(error)
        return f"{where}: a package for {protocol}:// is not installed; {cure}"
    if isinstance(error, FileNotFoundError):
        return f"{where}: {error.args[-1] if error.args else error} is missing"
    if isinstance(error, BundleError):
        return f"{where}: {error}"
    return f"{where}: can't be fetched: {type(error).__name__}: {error}"
