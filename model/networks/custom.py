"""Custom networks: classes imported from files that a preset names."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import nn

from model.bundle.sources import SourceError, content_of, digest, file_of
from model.config import CustomConfig, ModelConfig


def custom_network(class_name: str, network: CustomConfig, config: ModelConfig) -> nn.Module:
    """An instance of `module:Class`, called with the shapes and the options.

    Raises:
        SourceError: the file can't be imported or changed since the preset was read, it has no
            such class, or that is no `nn.Module` or does not take the options.
    """
    folder = Path(network.folder or ".")
    if network.source_sha256 and digest(network, folder) != network.source_sha256:
        msg = f"{folder}: the files of {network.encoder} and {network.decoder} have changed"
        raise SourceError(f"{msg} since training began; restore them, or train again")
    path, name = folder / file_of(class_name), class_name.partition(":")[2]
    found = getattr(_imported(path, folder), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        what = "has no class" if found is None else "has no torch.nn.Module of the name"
        raise SourceError(f"{path}: {what} {name}")
    try:
        return found(config.image_shape, config.latent_shape, **network.options)
    except Exception as error:
        taken = ", ".join(("image_shape", "latent_shape", *network.options))
        msg = f"{path}: {name}({taken}) failed with {type(error).__name__}: {error}"
        raise SourceError(msg) from error


def _imported(path: Path, folder: Path) -> ModuleType:
    """The module of a file, under a name that no other has, imported once for each content."""
    content = str(path).encode() + content_of(path)
    key = f"custom_{path.stem}_{hashlib.sha256(content).hexdigest()[:16]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    entry = str(folder.resolve())
    sys.path.insert(0, entry)  # lets the file import its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[key]
        raise SourceError(f"{path}: can't be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(entry)
    return module
