"""Servers take turns in going first."""

from __future__ import annotations

import pytest

from benchmarks.comparison import in_turn


@pytest.mark.parametrize(("number", "order"), [(0, "abc"), (1, "cba"), (2, "abc")])
def test_every_other_round_runs_backwards(number: int, order: str) -> None:
    """Odd rounds measure the last server first, and answers stay with their servers."""
    measured: list[str] = []

    def measure(item: str) -> str:
        measured.append(item)
        return item.upper()

    assert in_turn("abc", number, measure) == ["A", "B", "C"]
    assert "".join(measured) == order
