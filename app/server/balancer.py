"""How many connections each of several workers has, known to all of them."""

from __future__ import annotations

import mmap
import sys

from app.server.inbox import Inbox

_CELL = 8
"""Bytes of a number in the table; written at once, so that nobody reads half of one."""


class Balance:
    """The workers' loads. Made before they are forked, so that all share it.

    A load is what a worker holds and what waits in its inbox. That worker alone writes the first,
    and the supervisor once it is dead; the kernel counts the second. So no load can drift, whoever
    dies when.

    Args:
        workers: how many; their numbers are 1 … workers.
    """

    def __init__(self, workers: int) -> None:
        self.inboxes = {number: Inbox() for number in range(1, workers + 1)}
        # All zero, which says that a worker is to be given nothing.
        self._table = memoryview(mmap.mmap(-1, workers * _CELL)).cast("q")

    def publish(self, number: int, held: int | None) -> None:
        """Says how many connections a worker holds; None: it is to be given none."""
        self._table[number - 1] = 0 if held is None else held + 1

    def lightest(self, but: int, below: int = sys.maxsize) -> int | None:
        """The worker, other than `but`, with the least load, if that is less than `below`."""
        found = None
        for number, cell in enumerate(self._table.tolist(), 1):
            # The kernel is asked only where what it says can matter.
            if number != but and 0 < cell <= below:
                load = cell - 1 + self.inboxes[number].waiting()
                if load < below:
                    found, below = number, load
        return found

    def bury(self, number: int) -> None:
        """Shares out what waits for a dead worker; what finds no place is left to the next one."""
        self.publish(number, None)
        left = self.inboxes[number]
        while (heir := self.lightest(number)) is not None:
            try:
                connection, _ = left.accept()
            except ConnectionAbortedError:
                continue  # one is lost, and others may wait
            except OSError:  # none waits, or no descriptor is free
                return
            with connection:
                if not self.inboxes[heir].put(connection):
                    left.put(connection)  # it has just come from there
                    return

    def close(self) -> None:
        """Closes the inboxes in this process."""
        for inbox in self.inboxes.values():
            inbox.close()
