"""Finds bundles on disk, and describes them so that changes can be detected. Blocks."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.bundle.bundle import BundleError, manifest_bytes
from model.bundle.manifest import VERSION_PATTERN, name_problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One version on disk, whether or not it can be opened."""

    number: int
    folder: Path
    fingerprint: str
    """SHA-256 of the manifest; empty if it can't be read."""
    files: tuple[tuple[str, int, int, int], ...] = ()
    """Name, inode, size and time of change of each file; empty if they can't be listed."""


@dataclass(slots=True)
class Scan:
    """The versions in the roots by name and number, and the roots that could not be searched."""

    models: dict[str, dict[int, Found]] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)

    def hides(self, folder: Path) -> bool:
        """Whether a folder may exist although it was not found."""
        return any(root in folder.parents for root in self.unreadable)


def is_name(text: str) -> bool:
    """Whether a model may have this name."""
    return not name_problem(text)


def is_version(text: str) -> bool:
    """Whether a version's folder may have this name: a positive integer without leading zeros."""
    return bool(re.fullmatch(VERSION_PATTERN, text))


def scan(roots: Sequence[Path], name: str | None = None) -> Scan:
    """Searches the roots for one model or for all; of one version in two roots the first counts.

    A missing root holds nothing. A root that can't be read is logged and listed as unreadable.
    """
    result = Scan()
    for root in roots:
        try:
            folders = _model_folders(root) if name is None else [root / name]
            for folder in folders:
                for version in _version_folders(folder):
                    versions = result.models.setdefault(folder.name, {})
                    if int(version.name) not in versions:
                        versions[int(version.name)] = _describe(version)
        except OSError as error:
            result.unreadable.append(root)
            logger.error("%s can't be searched for bundles: %s", root, error)
    return result


def _model_folders(root: Path) -> list[Path]:
    folders = []
    for folder in sorted(_entries(root)):
        if not (problem := name_problem(folder.name)):
            folders.append(folder)
        elif not folder.name.startswith(".") and _version_folders(folder):
            logger.warning("%s is skipped: %s", folder, problem)
    return folders


def _version_folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if is_version(entry.name) and entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _describe(folder: Path) -> Found:
    try:
        fingerprint = hashlib.sha256(manifest_bytes(folder)).hexdigest()
    except BundleError:
        fingerprint = ""
    return Found(int(folder.name), folder, fingerprint, _files(folder))


def _files(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    files = []
    try:
        for entry in folder.iterdir():
            state = entry.stat()
            files.append((entry.name, state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError:  # such as a dangling link, or a file that is being replaced
        return ()
    return tuple(sorted(files))
