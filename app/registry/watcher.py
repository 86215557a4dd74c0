"""Watches a repository root, and reports which models have changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import watchfiles

from app.concurrency import in_daemon_thread
from app.registry.scan import is_name

logger = logging.getLogger(__name__)

Changed = Callable[[Collection[str] | None], None]
"""Is called on the event loop with the names of models, or None for all."""

_QUIET_MS = 100
"""Changes are reported once nothing more has changed for this long …"""
_LONGEST_MS = 2000
"""… or once changes have continued for this long."""
_LOOK_MS = 3000
"""How often to check whether the root itself was replaced."""
_POLL_MS = 2000
_ABSENT_SECONDS = 1.0
_FAILED_SECONDS = 30.0
_END_SECONDS = 2.0


async def watch(root: Path, changed: Changed, *, poll: bool = False) -> None:
    """Reports changes below a folder, which need not exist yet, until it is cancelled.

    An error is logged, and the watch begins again after a pause.

    Args:
        root: `<name>/<version>/` below it are bundles.
        changed: is also called with None when the watch begins, since it misses earlier changes.
        poll: compares the files every two seconds, for file systems that report no changes.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def report(names: Collection[str] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(changed, names)

    # Not `awatch`, which starts the watch on the event loop and joins a thread when it ends.
    following = asyncio.ensure_future(in_daemon_thread(_follow, root, stop, report, poll=poll))
    try:
        await asyncio.shield(following)
    finally:
        stop.set()
        await asyncio.wait({following}, timeout=_END_SECONDS)


def touched(root: Path, paths: Collection[str]) -> frozenset[str] | None:
    """The models to which changed paths belong; None if any model may have changed.

    Folders whose names begin with a dot hold unfinished copies. A change of the root itself is
    ignored, because the paths below it are reported too.
    """
    names = set()
    for path in paths:
        if not Path(path).is_relative_to(root):
            return None
        name, *rest = Path(path).relative_to(root).parts or ("",)
        if is_name(name) and not (rest and rest[0].startswith(".")):
            names.add(name)
    return frozenset(names)


def _follow(root: Path, stop: threading.Event, report: Changed, *, poll: bool) -> None:
    root = root.absolute()
    while not stop.is_set():
        try:
            if root.is_dir():
                _watch_once(root, stop, report, poll=poll)
            else:
                stop.wait(_ABSENT_SECONDS)
        except Exception:
            logger.exception("%s can't be watched; trying again in %g s", root, _FAILED_SECONDS)
            stop.wait(_FAILED_SECONDS)


def _watch_once(root: Path, stop: threading.Event, report: Changed, *, poll: bool) -> None:
    """Watches until `stop` is set or another folder replaces the root."""
    before, begun = _identity(root), False
    for changes in watchfiles.watch(
        root,
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_QUIET_MS,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        force_polling=poll or None,
        poll_delay_ms=_POLL_MS,
        ignore_permission_denied=True,
    ):
        names = touched(root, [path for _, path in changes]) if begun else None
        begun = True
        if names is None or names:
            report(names)
        if _identity(root) != before:
            report(None)
            return


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        state = root.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
