"""Has glibc's allocator return free memory to the operating system."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable

TRIM_SECONDS = 5.0
"""How often free memory is returned."""

# <malloc.h>
_M_MMAP_THRESHOLD = -3
_OWN_PAGES = 1024 * 1024
_CHOSEN = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_")


def map_large_blocks() -> bool:
    """Has glibc map every block above 1 MiB separately, in this process and those it forks.

    Without this, glibc takes large blocks from its heaps once the first one has been freed. Small
    blocks then lie between them and keep the heaps from shrinking.

    Returns:
        False, and changes nothing, for another C library or if the environment sets the threshold.
    """
    mallopt = _function("mallopt")
    if mallopt is None or any(name in os.environ for name in _CHOSEN):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES))


def trim_periodically(every: float = TRIM_SECONDS) -> bool:
    """Returns free pages every few seconds, in a thread; False if the C library can't.

    By itself, glibc returns only the end of a heap, never free pages in its middle.
    """
    trim = _function("malloc_trim")
    if trim is None:
        return False
    threading.Thread(target=_trim_on, args=(trim, every), name="trim", daemon=True).start()
    return True


def _trim_on(trim: Callable[[int], int], every: float) -> None:
    while True:
        time.sleep(every)
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """A function of the C library, which runs without the interpreter's lock."""
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
