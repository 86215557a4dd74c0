"""Registries of real bundles in an event loop, and what damages a bundle."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import Loaded, load
from app.registry.broadcast import Broadcast
from app.registry.registry import Registry
from app.registry.repository import Repository
from app.registry.versions import Load
from tests import arithmetic_bundle

LOAD: Load = partial(load, wanted="cpu", cores=1)


def registry(
    *roots: Path | str,
    default: str = "",
    required: Sequence[str] = (),
    load: Load = LOAD,
    cache: Path | str = "",
    broadcast: Broadcast | None = None,
) -> Registry:
    """A registry that loads on the CPU, and lets go at once of what is missing."""
    lanes = Lanes(1)

    def start(loaded: Loaded) -> Engine:
        return Engine(loaded, lanes, lambda program: lambda report: None)

    repository = Repository([str(root) for root in roots], str(cache), removal_seconds=0)
    return Registry(
        repository,
        default=default,
        required=required,
        load=load,
        start=start,
        broadcast=broadcast,
    )


def rewrite(root: Path, *, name: str = "arithmetic", version: int = 1, **changes: Any) -> Path:
    """Puts another bundle in the place of a version, as a copy into a dot-folder and renames."""
    folder = root / name / str(version)
    made = arithmetic_bundle.write(root / ".made", name=name, version=version, **changes).folder
    if folder.exists():
        folder.rename(root / ".old")
    folder.parent.mkdir(exist_ok=True)
    made.rename(folder)
    for leftover in (root / ".old", root / ".made"):
        shutil.rmtree(leftover, ignore_errors=True)
    return folder


def flip_a_byte(path: Path) -> None:
    """Damages a file without changing its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds; the test's own limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 nobody tells
        await asyncio.sleep(0.005)
