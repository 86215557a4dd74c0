"""glibc's allocator, told to give memory back to the machine."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable

TRIM_SECONDS = 5.0
"""How often what lies free in the heaps is given back."""

# <malloc.h>
_M_MMAP_THRESHOLD = -3
_OWN_PAGES = 1024 * 1024
_CHOSEN = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_")


def map_large_blocks() -> bool:
    """Maps every block above 1 MiB by itself, for all that this process forks too.

    By itself glibc learns from the first large block that is freed to take the next ones from its
    heaps, where small blocks come to lie between them. Other C libraries are left alone, and so is
    whoever has chosen in the environment: False then.
    """
    mallopt = _function("mallopt")
    if mallopt is None or any(name in os.environ for name in _CHOSEN):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES))


def trim_now_and_then(every: float = TRIM_SECONDS) -> bool:
    """Gives free pages back every so many seconds, in a thread; False where the library can't.

    glibc gives back the end of a heap only, never what is free in its middle.
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
    """One of the C library's, which runs without the interpreter's lock."""
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
