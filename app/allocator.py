"""glibc's allocator, told to give memory back to the machine."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

TRIM_SECONDS = 5.0
"""How often what lies free in the heaps is given back: it takes about a millisecond."""


def trim_now_and_then(every: float = TRIM_SECONDS) -> bool:
    """Gives free pages back every so many seconds, in a thread; False where the library can't.

    By itself glibc gives back the end of a heap only, never what is free in its middle: thousands
    of pictures at once leave tens of MB behind there, for as long as the process lives.
    """
    # Called without the interpreter's lock, so that the event loop goes on meanwhile.
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    threading.Thread(target=_trim_on, args=(trim, every), name="trim", daemon=True).start()
    return True


def _trim_on(trim: Callable[[int], int], every: float) -> None:
    while True:
        time.sleep(every)
        trim(0)
