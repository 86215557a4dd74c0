"""training.wording.py: times as people say them."""

from __future__ import annotations

import pytest

from training.wording import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (40, "40 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (720, "12 min"),
        (5400, "90 min"),
        (7260, "2 h 1 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Seconds below a hundred, then minutes, then hours and minutes."""
    assert duration(seconds) == text
