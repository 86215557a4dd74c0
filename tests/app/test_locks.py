"""Locks that are there as long as they are used."""

from __future__ import annotations

import asyncio

from app.locks import Locks
from tests.app.loops import in_loop, settle_down


@in_loop
async def test_one_name_has_one_lock_and_none_when_nobody_uses_it() -> None:
    """Whoever comes while others hold it or wait waits for them; afterwards nothing is kept."""
    locks, inside, most = Locks(), list[int](), 0

    async def enter(number: int) -> None:
        nonlocal most
        async with locks["m"]:
            inside.append(number)
            most = max(most, len(inside))
            await settle_down()
            inside.remove(number)

    async with locks["other"]:
        await asyncio.gather(*(enter(number) for number in range(3)))
        assert len(locks) == 1
    assert most == 1
    assert len(locks) == 0
