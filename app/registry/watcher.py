"""Watches a repository root, and says of which models something has changed."""

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
"""Called on the event loop with the names of models, or None for all."""

_QUIET_MS = 100
"""Changes are told once nothing more has changed for so long …"""
_LONGEST_MS = 2000
"""… or has gone on changing for so long."""
_LOOK_MS = 3000
"""How often the root itself is looked at, which may have been replaced."""
_POLL_MS = 2000
_ABSENT_SECONDS = 1.0
_FAILED_SECONDS = 30.0
_END_SECONDS = 2.0


async def watch(root: Path, changed: Changed, *, poll: bool = False) -> None:
    """Tells changes below a folder, which need not exist yet, until it is cancelled.

    Whatever fails is logged and tried again.

    Args:
        root: `<name>/<version>/` below it are bundles.
        changed: also called with None when the watch begins: what changed before, it can't know.
        poll: compare the files every two seconds, where the file system tells no changes.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def tell(names: Collection[str] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(changed, names)

    # Not `awatch`: it makes its watch on the event loop, and ends by joining a thread.
    following = asyncio.ensure_future(in_daemon_thread(_follow, root, stop, tell, poll=poll))
    try:
        await asyncio.shield(following)
    finally:
        stop.set()
        await asyncio.wait({following}, timeout=_END_SECONDS)


def touched(root: Path, paths: Collection[str]) -> frozenset[str] | None:
    """The models that changed paths belong to; None where it may be any.

    Folders whose names begin with a dot are those of unfinished copies. A change of the root itself
    says nothing that the paths below it don't say.
    """
    names = set()
    for path in paths:
        if not Path(path).is_relative_to(root):
            return None
        name, *rest = Path(path).relative_to(root).parts or ("",)
        if is_name(name) and not (rest and rest[0].startswith(".")):
            names.add(name)
    return frozenset(names)


def _follow(root: Path, stop: threading.Event, tell: Changed, *, poll: bool) -> None:
    root = root.absolute()
    while not stop.is_set():
        try:
            if root.is_dir():
                _watch_once(root, stop, tell, poll=poll)
            else:
                stop.wait(_ABSENT_SECONDS)
        except Exception:
            logger.exception("%s can't be watched; trying again in %g s", root, _FAILED_SECONDS)
            stop.wait(_FAILED_SECONDS)


def _watch_once(root: Path, stop: threading.Event, tell: Changed, *, poll: bool) -> None:
    """Until it is to stop, or the root is no longer the folder that it was."""
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
            tell(names)
        if _identity(root) != before:
            tell(None)
            return


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        state = root.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
