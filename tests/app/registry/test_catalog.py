"""Finding the engine that a request names, and saying why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ModelUnavailableError, UnknownModelError, UnknownVersionError
from model.bundle.bundle import DECODER
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.registries import flip_a_byte, registry


@in_loop
async def test_a_version_can_be_asked_for(tmp_path: Path) -> None:
    """Without one the highest serves; a lower one answers when it is named."""
    for version in (1, 2):
        arithmetic_bundle.write(tmp_path, version=version)
    subject = registry(tmp_path)
    await subject.open()
    assert subject.engine("arithmetic").version == 2
    assert subject.engine("arithmetic", 1).version == 1
    assert subject.engine(None, 1).version == 1
    with pytest.raises(UnknownVersionError, match="no version 3; it has 2, 1"):
        subject.engine("arithmetic", 3)
    with pytest.raises(UnknownModelError):
        subject.engine("other", 1)


@in_loop
async def test_a_version_that_does_not_serve_says_why(tmp_path: Path) -> None:
    """A damaged version that is asked for is not replaced by another one."""
    arithmetic_bundle.write(tmp_path)
    flip_a_byte(arithmetic_bundle.write(tmp_path, version=2).folder / DECODER)
    subject = registry(tmp_path)
    await subject.open()
    with pytest.raises(ModelUnavailableError, match=r"version 2 of .* can't serve: .*damaged"):
        subject.engine("arithmetic", 2)
    assert subject.warnings()[0].startswith("arithmetic/2: ")


@in_loop
async def test_a_bad_model_that_comes_later_does_not_take_readiness_away(tmp_path: Path) -> None:
    """Where no model is the default, those count that were there at the start."""
    for name in ("one", "two"):
        arithmetic_bundle.write(tmp_path, name=name)
    subject = registry(tmp_path)
    await subject.open()
    flip_a_byte(arithmetic_bundle.write(tmp_path, name="three").folder / DECODER)
    with pytest.raises(ModelUnavailableError):
        await subject.load("three")
    assert subject.problems() == []
    assert len(subject.warnings()) == 1
    await subject.unload("two")
    assert subject.problems() == ["two: it is unloaded"]
    await subject.close()
