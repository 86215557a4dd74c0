"""A lock for each name, for as long as someone holds it or waits for it."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """Locks by name; names come from callers, so none is kept that nobody uses."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    def __getitem__(self, name: str) -> asyncio.Lock:
        """The lock of a name; everyone who has it at the same time has the same one."""
        return self._locks.setdefault(name, asyncio.Lock())

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._locks)
