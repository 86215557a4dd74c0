"""Times for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `1 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
