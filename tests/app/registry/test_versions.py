"""One version's life, and what a model says of its versions."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import Loaded
from app.registry import scan
from app.registry.catalog import Model
from app.registry.scan import Found
from app.registry.versions import State, Version, why_not_serving
from model.bundle.bundle import MANIFEST
from tests.app.loops import in_loop, settle_down
from tests.app.registries import LOAD


def start(lanes: Lanes, loaded: Loaded) -> Engine:
    return Engine(loaded, lanes, lambda program: lambda report: None)


def _state(version: Version) -> State:
    """Asked anew: mypy takes an attribute for what it was compared with last."""
    return version.state


def found(root: Path) -> Found:
    return scan.scan([root]).models["arithmetic"][1]


@in_loop
async def test_opens_serves_and_closes(repository: Path) -> None:
    """It is ready, unloading while its requests end, and unloaded."""
    version = Version("arithmetic", 1, Path())
    assert await version.open(found(repository), LOAD, partial(start, Lanes(1))) is None
    assert (version.state, version.folder) == ("ready", repository / "arithmetic" / "1")
    assert not version.differs_from(found(repository))
    engine = version.engine
    assert engine is not None
    engine.begin()
    closing = asyncio.create_task(version.close())
    assert version.engine is None
    await settle_down()
    assert _state(version) == "unloading"
    engine.end()
    await closing
    assert _state(version) == "unloaded"
    assert version.differs_from(found(repository))


@in_loop
async def test_opening_anew_gives_back_what_was_replaced(repository: Path) -> None:
    """The one who asked for it drains the old engine."""
    version = Version("arithmetic", 1, Path())
    opening = partial(version.open, found(repository), LOAD, partial(start, Lanes(1)))
    await opening()
    first = version.engine
    assert await opening() is first
    assert version.engine is not first


@in_loop
async def test_what_can_not_be_opened_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bundle that is damaged and a defect are reasons, and both are logged."""
    version = Version("arithmetic", 1, Path())
    missing = Found(1, tmp_path / "arithmetic" / "1", "")
    assert await version.open(missing, LOAD, partial(start, Lanes(1))) is None
    assert version.state == "unavailable"
    assert version.reason == f"{missing.folder / MANIFEST}: missing"
    assert "arithmetic/1 does not serve" in caplog.text


def test_why_a_model_does_not_serve() -> None:
    """It is loading as long as one of its versions is; unloaded when all are; else the reasons."""
    model = Model("m")
    for number in (1, 3, 2):
        model.add(Version("m", number, Path()))
    assert [version.number for version in model.versions] == [3, 2, 1]
    first, second, third = model.versions
    first.state, first.reason = "unavailable", "damaged"
    assert why_not_serving(*model.versions) == "it is still loading"
    second.state, second.reason = "unavailable", "missing"
    third.state = "unloaded"
    assert why_not_serving(*model.versions) == "damaged; missing"
    assert why_not_serving(third) == "it is unloaded"
    assert model.version(2) is second
    assert model.version(4) is None
    assert model.engine is None
