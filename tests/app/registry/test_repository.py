"""The repository: its roots, and what the registry sees of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.registry.repository import SHIPPED, Repository
from app.registry.versions import Version
from model.bundle.bundle import MANIFEST
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.registries import registry


@in_loop
async def test_what_is_missing_for_a_moment_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What serves is looked for again after a pause, in which its folder may come back."""
    folder = arithmetic_bundle.write(tmp_path).folder
    subject = registry(tmp_path)
    await subject.open()
    known = subject.models["arithmetic"].versions
    shutil.move(folder, tmp_path / ".aside")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        shutil.move(tmp_path / ".aside", folder)

    monkeypatch.setattr("asyncio.sleep", pause)
    found = await Repository([str(tmp_path)], removal_seconds=7.0).versions("arithmetic", known)
    monkeypatch.undo()
    assert pauses == [7.0]
    assert list(found) == [1]
    await subject.close()


@in_loop
async def test_a_disk_that_fails_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What serves from a root that can't be read is taken as it was."""
    folder = arithmetic_bundle.write(tmp_path).folder
    known = Version("arithmetic", 1, folder, fingerprint="as loaded")

    def failing(path: Path) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "iterdir", failing)
    found = await Repository([str(tmp_path)], removal_seconds=0).versions("arithmetic", [known])
    assert found[1].fingerprint == "as loaded"


@in_loop
async def test_why_a_version_was_not_fetched_is_kept_until_it_is(tmp_path: Path) -> None:
    """The reasons of one model are replaced by the next fetch of that model alone."""
    for name, version in (("a", 1), ("b", 2)):
        damaged = tmp_path / "made" / name / str(version) / MANIFEST
        damaged.parent.mkdir(parents=True)
        damaged.write_text("{")
    address = f"local://{tmp_path / 'made'}"
    disk = Repository([address], str(tmp_path / "cache"))
    await disk.fetch(None)
    assert list(disk.unfetched("a")) == [1]
    assert await disk.all() == {"a": {}, "b": {}}
    shutil.move(tmp_path / "made", tmp_path / "moved")
    await disk.fetch("a")
    assert disk.unfetched("a") == {}
    assert list(disk.unfetched("b")) == [2]
    [remark] = disk.remarks
    assert remark.startswith(f"{address}: ")


def test_none_named_takes_those_of_the_package() -> None:
    """The shipped bundles are folders like any other."""
    assert Repository(()).places == [str(SHIPPED)]
    assert Repository(()).watched == [SHIPPED]
    assert SHIPPED.is_dir()


def test_folders_and_addresses_keep_their_order(tmp_path: Path) -> None:
    """An address stands for its copy in the cache, which nobody else writes to."""
    repository = Repository(("/a:/b", "s3://key:secret@bucket/b", "c"), str(tmp_path))
    assert [folder.parent for folder in repository._folders] == [Path("/a:"), tmp_path, Path()]
    assert repository.places == ["/a:/b", "s3://bucket/b", "c"]
    assert repository.watched == [Path("/a:/b"), Path("c")]
