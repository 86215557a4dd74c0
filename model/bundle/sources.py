"""The files of custom networks: their folders and hashes. This module does not need torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from model.config import CustomConfig


class SourceError(ValueError):
    """A file or a class that a network is to be made of, and that can't be used."""


def locate(network: CustomConfig, folders: Iterable[Path]) -> CustomConfig:
    """The same with `folder` and `source_sha256`: the first folder that has the encoder's file, or
    `network.folder` if it is set.

    Raises:
        SourceError: no folder has it, or that one has not the decoder's.
    """
    looked = [Path(network.folder)] if network.folder else list(folders)
    name = file_of(network.encoder)
    found = next((folder for folder in looked if (folder / name).is_file()), None)
    if found is None:
        msg = f"model.network.encoder: {name} is not in {' or '.join(map(str, looked))}"
        raise SourceError(msg)
    folder = str(found.resolve())
    return network.model_copy(update={"folder": folder, "source_sha256": digest(network, found)})


def digest(network: CustomConfig, folder: Path) -> str:
    """SHA-256 of the encoder's file, and of the decoder's where that is another.

    Raises:
        SourceError: one can't be read.
    """
    names = dict.fromkeys((file_of(network.encoder), file_of(network.decoder)))
    return hashlib.sha256(b"".join(content_of(folder / name) for name in names)).hexdigest()


def content_of(path: Path) -> bytes:
    """Reads a network's file; raises SourceError if that fails."""
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: the network's file can't be read: {error.strerror or error}"
        raise SourceError(msg) from error


def file_of(class_name: str) -> Path:
    """The file of a `module:Class`, relative to the folder."""
    return Path(*class_name.partition(":")[0].split(".")).with_suffix(".py")
