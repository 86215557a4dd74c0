"""Bundles at fsspec addresses, and their copies in the cache."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from app.errors import ModelUnavailableError
from app.registry import remote
from app.registry.remote import RemoteRoot, default_cache
from model.bundle.bundle import DECODER, ENCODER, MANIFEST, open_bundle
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.registries import registry, rewrite

ADDRESS = "memory://bundles/here"


@pytest.fixture(name="fs")
def _fs() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture(name="read")
def _read(fs: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from it, as they are."""
    read: list[str] = []
    opening = type(fs).open

    def noting(self: Any, path: str, *args: Any, **options: Any) -> Any:
        if args[:1] == ("rb",):
            read.append(path.rpartition("/")[2])
        return opening(self, path, *args, **options)

    monkeypatch.setattr(type(fs), "open", noting)
    return read


def put(fs: Any, folder: Path, where: str = "/bundles/here") -> None:
    """Copies a bundle's files there, in place of what there is."""
    target = f"{where}/{folder.parent.name}/{folder.name}"
    for file in folder.iterdir():
        fs.pipe_file(f"{target}/{file.name}", file.read_bytes())


def reasons(root: RemoteRoot, name: str | None = None) -> list[str]:
    """What went wrong in a fetch."""
    root.fetch(name)
    problems = [reason for reasons in root.unfetched.values() for reason in reasons.values()]
    return [root.problem, *problems] if root.problem else problems


def test_fetches_what_is_not_there(fs: Any, read: list[str], tmp_path: Path) -> None:
    """A whole bundle comes; the second time its manifest alone is read."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    assert reasons(root) == []
    assert open_bundle(root.folder / "arithmetic" / "1").manifest.name == "arithmetic"
    assert sorted(read) == [DECODER, ENCODER, "golden.npz", MANIFEST]
    read.clear()
    assert reasons(root, "arithmetic") == []
    assert read == [MANIFEST]


def test_a_changed_or_damaged_copy_is_fetched_anew(fs: Any, tmp_path: Path) -> None:
    """The manifest's bytes tell that it changed, the hashes that it is damaged."""
    put(fs, rewrite(tmp_path / "made", card="first"))
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    copy = root.folder / "arithmetic" / "1"
    assert reasons(root) == []
    put(fs, rewrite(tmp_path / "made", card="second"))
    assert reasons(root) == []
    assert open_bundle(copy).manifest.card == "second"
    (copy / DECODER).write_bytes(b"")
    assert reasons(root) == []
    open_bundle(copy)
    assert [entry.name for entry in copy.parent.iterdir()] == ["1"]


def test_what_is_gone_there_goes_here(fs: Any, tmp_path: Path) -> None:
    """Removed versions and models, and what an interrupted fetch has left, are removed."""
    for name, version in (("a", 1), ("a", 2), ("b", 1)):
        put(fs, arithmetic_bundle.write(tmp_path / "made", name=name, version=version).folder)
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    assert reasons(root) == []
    (root.folder / "a" / ".1-interrupted").mkdir()
    fs.rm("/bundles/here/a/2", recursive=True)
    fs.rm("/bundles/here/b", recursive=True)
    assert reasons(root, "b") == []
    assert not list((root.folder / "b").iterdir())
    assert reasons(root) == []
    assert sorted(str(path.relative_to(root.folder)) for path in root.folder.glob("*/*")) == ["a/1"]


def test_a_damaged_bundle_never_arrives(fs: Any, tmp_path: Path) -> None:
    """What does not match its hash is told, and leaves neither a version nor a trace."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    content = fs.cat_file(f"/bundles/here/arithmetic/1/{DECODER}")
    fs.pipe_file(f"/bundles/here/arithmetic/1/{DECODER}", b"\0" + content[1:])
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    [reason] = reasons(root)
    assert reason.startswith(f"{ADDRESS}/arithmetic/1: {DECODER}: damaged")
    assert not list((root.folder / "arithmetic").iterdir())
    fs.rm_file(f"/bundles/here/arithmetic/1/{ENCODER}")
    assert f"{ENCODER} is missing" in reasons(root)[0]


def test_no_file_is_larger_than_its_manifest_says(
    fs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is longer is given up where it passes its size, and a manifest at a fixed limit."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    where = "/bundles/here/arithmetic/1"
    fs.pipe_file(f"{where}/{DECODER}", b"\0" * 5_000_000)
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    assert f"{DECODER}: has more than the " in reasons(root)[0]
    monkeypatch.setattr(remote, "MANIFEST_LIMIT", 100)
    assert f"{MANIFEST}: has more than the 100 bytes" in reasons(root)[0]


@pytest.mark.parametrize("listed", ["../../evil", "/evil", "a/b", "..", MANIFEST])
def test_nothing_is_fetched_to_another_place(
    fs: Any, read: list[str], tmp_path: Path, listed: str
) -> None:
    """A manifest that lists anything but plain names is refused before a file is read."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    path = f"/bundles/here/arithmetic/1/{MANIFEST}"
    manifest = json.loads(fs.cat_file(path))
    manifest["files"][listed] = manifest["files"][DECODER]
    fs.pipe_file(path, json.dumps(manifest).encode())
    read.clear()
    [reason] = reasons(RemoteRoot(ADDRESS, tmp_path / "cache"))
    assert "is not a plain file name" in reason
    assert read == [MANIFEST]


def test_only_names_and_versions_are_looked_at(fs: Any, tmp_path: Path) -> None:
    """Other folders and files beside them are left where they are."""
    folder = arithmetic_bundle.write(tmp_path / "made").folder
    put(fs, folder)
    put(fs, folder, "/bundles/here/Upper")
    for name in ("stats/1", "arithmetic/01", "arithmetic/.2", "arithmetic/latest"):
        fs.pipe_file(f"/bundles/here/{name}/{MANIFEST}", b"{}")
    fs.pipe_file("/bundles/here/readme", b"")
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    assert reasons(root) == []
    assert [str(path.relative_to(root.folder)) for path in root.folder.glob("*/*")] == [
        "arithmetic/1"
    ]


def test_a_root_that_is_not_there_leaves_the_cache_alone(fs: Any, tmp_path: Path) -> None:
    """Without an answer what was fetched before goes on serving."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    root = RemoteRoot(ADDRESS, tmp_path / "cache")
    assert reasons(root) == []
    fs.rm("/bundles", recursive=True)
    assert "is missing" in reasons(root)[0]
    open_bundle(root.folder / "arithmetic" / "1")


def test_two_processes_fetch_once(fs: Any, read: list[str], tmp_path: Path) -> None:
    """Whoever comes second waits, and finds it there."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    roots = [RemoteRoot(ADDRESS, tmp_path / "cache") for _ in range(4)]
    threads = [threading.Thread(target=root.fetch, args=(None,)) for root in roots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read.count(DECODER) == 1
    assert read.count(MANIFEST) == 4


def test_a_missing_package_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install; an unknown protocol is named."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(known, "s3", raising=False)
    [reason] = reasons(RemoteRoot("s3://bucket/prefix", tmp_path))
    assert reason == (
        "s3://bucket/prefix: a package for s3:// is not installed; pip install 'vaeserve[s3]'"
    )
    assert "Protocol not known: nope" in reasons(RemoteRoot("nope://x", tmp_path))[0]


def test_each_address_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Folders are safe names, differ where addresses do, and tell no password."""
    addresses = ["s3://a/b", "s3://a-b", "ftp://user:secret@host/../x", "memory://" + "x" * 300]
    roots = [RemoteRoot(address, tmp_path) for address in addresses]
    assert len({root.folder for root in roots}) == len(roots)
    for root in roots:
        assert root.folder.parent == tmp_path
        assert len(root.folder.name) < 80
        assert "secret" not in f"{root.folder} {root.shown}"


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """`XDG_CACHE_HOME` counts, else `.cache` in the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_cache() == Path("/caches/vaeserve")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache() == Path("/home/someone/.cache/vaeserve")


@in_loop
async def test_a_registry_fetches_at_the_start_and_on_load(fs: Any, tmp_path: Path) -> None:
    """What can't be fetched shows with its reason beside what serves from the cache."""
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    cache = tmp_path / "cache"
    subject = registry(ADDRESS, cache=cache)
    await subject.open()
    assert subject.engine(None).version == 1
    put(fs, arithmetic_bundle.write(tmp_path / "made", version=2).folder)
    fs.rm_file(f"/bundles/here/arithmetic/2/{DECODER}")
    with pytest.raises(Exception, match=r"arithmetic/2 did not load: .*decoder.onnx is missing"):
        await subject.load("arithmetic")
    assert subject.engine(None).version == 1
    assert subject.models["arithmetic"].versions[0].state == "unavailable"
    put(fs, tmp_path / "made" / "arithmetic" / "2")
    await subject.load("arithmetic")
    assert subject.engine(None).version == 2
    fs.rm("/bundles", recursive=True)
    again = registry(ADDRESS, cache=cache)
    await again.open()
    assert again.engine(None).version == 2
    assert ADDRESS in again.warnings()[0]
    for one in (subject, again):
        await one.close()


@in_loop
async def test_a_load_fails_when_its_root_can_not_be_reached(fs: Any, tmp_path: Path) -> None:
    """What is there might be newer; the copy serves on, and models of other roots load."""
    arithmetic_bundle.write(tmp_path / "local", name="local")
    put(fs, arithmetic_bundle.write(tmp_path / "made").folder)
    subject = registry(tmp_path / "local", ADDRESS, cache=tmp_path / "cache")
    await subject.open()
    fs.rm("/bundles", recursive=True)
    with pytest.raises(ModelUnavailableError, match=rf"arithmetic/1 did not load: {ADDRESS}: .*"):
        await subject.load("arithmetic")
    assert subject.engine("arithmetic").version == 1
    await subject.load("local")
    put(fs, tmp_path / "made" / "arithmetic" / "1")
    await subject.load("arithmetic")
    await subject.close()


def test_errors_of_file_systems_tell_no_secret(tmp_path: Path) -> None:
    """Other packages put the whole address into their errors; its password and token stay out."""
    address = "simplecache::memory://bob:s3cret@nowhere/b?token=t0ken"
    [reason] = reasons(RemoteRoot(address, tmp_path / "cache"))
    assert "nowhere" in reason
    assert "s3cret" not in reason
    assert "t0ken" not in reason
