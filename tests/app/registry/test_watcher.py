"""Following a repository root as files come, change and go."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.registry import watcher
from app.registry.watcher import touched, watch
from tests.app.loops import in_loop

Told = asyncio.Queue[Collection[str] | None]


@asynccontextmanager
async def watched(root: Path, *, poll: bool = False) -> AsyncIterator[Told]:
    """What is told of a root, once the watch has begun."""
    told: Told = asyncio.Queue()
    task = asyncio.create_task(watch(root, told.put_nowait, poll=poll))
    yield told
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_told(told: Told, wanted: str | None) -> None:
    """Returns once this name was told, or None; the test's own limit ends it otherwise."""
    while True:
        names = await told.get()
        if names is None or wanted is None:
            if names is wanted:
                return
        elif wanted in names:
            return


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_LOOK_MS", 200)
    monkeypatch.setattr(watcher, "_POLL_MS", 50)
    monkeypatch.setattr(watcher, "_ABSENT_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "_FAILED_SECONDS", 0.01)


@pytest.mark.parametrize("poll", [False, True])
@in_loop
async def test_tells_which_models_changed(tmp_path: Path, poll: bool) -> None:
    """First everything may have changed; then it is what comes, changes, moves or goes."""
    (tmp_path / "a" / "1").mkdir(parents=True)
    async with watched(tmp_path, poll=poll) as told:
        await until_told(told, None)
        (tmp_path / "a" / "1" / "manifest.json").write_text("{}")
        await until_told(told, "a")
        (tmp_path / ".copy" / "1").mkdir(parents=True)
        (tmp_path / ".copy").rename(tmp_path / "b")
        await until_told(told, "b")
        shutil.rmtree(tmp_path / "a")
        await until_told(told, "a")


@in_loop
async def test_a_root_may_come_later_and_be_replaced(tmp_path: Path) -> None:
    """It is waited for, and a folder that takes its place is watched instead."""
    root = tmp_path / "root"
    async with watched(root) as told:
        root.mkdir()
        await until_told(told, None)
        root.rename(tmp_path / "old")
        (root / "a" / "1").mkdir(parents=True)
        await until_told(told, None)
        while not told.empty():
            told.get_nowait()
        await asyncio.sleep(0.3)
        (root / "a" / "2").mkdir()
        await until_told(told, "a")


@in_loop
async def test_a_watch_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error is logged, and does not end the watch."""
    right = watcher._watch_once
    failures = iter([OSError("no inotify watches left"), None])

    def failing(*args: object, **options: object) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        right(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(watcher, "_watch_once", failing)
    async with watched(tmp_path) as told:
        await until_told(told, None)
    assert "can't be watched" in caplog.text
    assert "no inotify watches left" in caplog.text


def test_paths_and_their_models() -> None:
    """Dot-folders and bad names are no model; what is not below the root may be any."""
    root = Path("/bundles")

    def of(*paths: str) -> Collection[str] | None:
        return touched(root, paths)

    assert of("/bundles/a/1/manifest.json", "/bundles/b") == {"a", "b"}
    assert of("/bundles/a/.1-x/manifest.json", "/bundles/.c/1", "/bundles/Upper/1") == set()
    assert of("/bundles/a/1", "/bundles") == {"a"}
    assert of("/bundles/a/1", "/elsewhere") is None
