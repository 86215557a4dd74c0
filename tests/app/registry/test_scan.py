"""What is found on disk, and what tells one state of it from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.registry import scan as repository
from model.bundle.bundle import MANIFEST
from tests import arithmetic_bundle


def test_finds_one_model_or_all(tmp_path: Path) -> None:
    """By name the others are not looked at; a name that is not there gives nothing."""
    for name in ("a", "b"):
        arithmetic_bundle.write(tmp_path, name=name)
    assert list(repository.scan([tmp_path]).models) == ["a", "b"]
    assert list(repository.scan([tmp_path], "b").models) == ["b"]
    assert repository.scan([tmp_path, tmp_path / "absent"], "c").models == {}


def test_the_fingerprint_is_the_manifests(tmp_path: Path) -> None:
    """It changes with the manifest's bytes, and is empty without a manifest."""
    folder = arithmetic_bundle.write(tmp_path).folder

    def fingerprint() -> str:
        return repository.scan([tmp_path]).models["arithmetic"][1].fingerprint

    first = fingerprint()
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text() + " ")
    second = fingerprint()
    (folder / MANIFEST).unlink()
    assert len({first, second}) == 2
    assert fingerprint() == ""


def test_a_root_that_can_not_be_read_is_told_from_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that fails hides what it had, and takes nothing from the other roots."""
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    arithmetic_bundle.write(broken)
    arithmetic_bundle.write(sound)
    listing = Path.iterdir

    def failing(path: Path) -> object:
        if broken in (path, *path.parents):
            raise OSError(5, "Input/output error")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", failing)
    scan = repository.scan([broken, sound])
    assert scan.models["arithmetic"][1].folder == sound / "arithmetic" / "1"
    assert scan.hides(broken / "arithmetic" / "1")
    assert not scan.hides(sound / "arithmetic" / "1")
    assert "Input/output error" in caplog.text


@pytest.mark.parametrize("text", ["../x", "a/b", "", "Upper", "stats", ".hidden", "a\n", "a" * 64])
def test_what_is_no_name(text: str) -> None:
    """Nothing that leads elsewhere, and nothing that a route needs, is a model's name."""
    assert not repository.is_name(text)


@pytest.mark.parametrize("text", ["0", "01", "-1", "1.0", "1\n", "١", "", "1" * 19])
def test_what_is_no_version(text: str) -> None:
    """A version is a positive integer written in one way."""
    assert not repository.is_version(text)
