"""Times and measured values, as people read them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `1 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def measured(value: float, error: float | None = None) -> str:
    """A value with its standard error to two digits, such as `−83.71 ± 0.24`; without one, to
    five digits."""
    if not error or not math.isfinite(error):
        text = f"{value:.5g}"
    else:
        decimals = max(0, 1 - math.floor(math.log10(error)))
        text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return text.replace("-", "−")
