"""The repository: its roots, and what the registry sees of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.registry.repository import SHIPPED, Disk, Roots, is_address
from app.registry.scan import FetchProblem
from app.registry.versions import Version
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
    found = await Disk([tmp_path], lambda name: (), 7.0).versions("arithmetic", known)
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
    found = await Disk([tmp_path], lambda name: (), 0.0).versions("arithmetic", [known])
    assert found[1].fingerprint == "as loaded"


@in_loop
async def test_why_a_version_was_not_fetched_is_kept_until_it_is(tmp_path: Path) -> None:
    """The reasons of one model are replaced by the next fetch of that model alone."""
    answers = [
        [FetchProblem("a", 1, "a is damaged"), FetchProblem("b", 2, "b is damaged")],
        [FetchProblem("", 0, "the root is not there")],
    ]
    disk = Disk([tmp_path], lambda name: answers.pop(0), 0.0)
    await disk.fetch(None)
    assert disk.unfetched("a") == {1: "a is damaged"}
    assert await disk.all() == {"a": {}, "b": {}}
    await disk.fetch("a")
    assert disk.unfetched("a") == {}
    assert disk.unfetched("b") == {2: "b is damaged"}
    assert disk.remarks == ("the root is not there",)


def test_none_named_takes_those_of_the_package() -> None:
    """The shipped bundles are folders like any other."""
    assert Roots(()).folders == Roots(()).watched == (SHIPPED,)
    assert SHIPPED.is_dir()


def test_folders_and_addresses_keep_their_order(tmp_path: Path) -> None:
    """An address stands for its copy in the cache, which nobody else writes to."""
    roots = Roots(("/a", "s3://key:secret@bucket/b", "c"), str(tmp_path))
    assert [folder.parent for folder in roots.folders] == [Path("/"), tmp_path, Path()]
    assert roots.places == ("/a", "s3://bucket/b", "c")
    assert roots.watched == (Path("/a"), Path("c"))


@pytest.mark.parametrize(
    ("root", "expected"), [("s3://b", True), ("memory://", True), ("/a:/b", False), ("a", False)]
)
def test_what_is_an_address(root: str, expected: bool) -> None:
    """A protocol makes it one."""
    assert is_address(root) == expected
