"""Times, measured values and names, as people read them."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping

from rich.text import Text

_REORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def printable(text: str, *, keep: str = "") -> str:
    """The text with � in place of control characters (except those in `keep`), marks that reorder
    text, and halves of surrogate pairs."""
    return "".join(
        character
        if character in keep
        or not (
            unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(character) in _REORDERING
        )
        else "�"
        for character in text
    )


def plain(text: str) -> Text:
    """For a rich console, which else takes brackets in names for markup; lines stay lines."""
    return Text(printable(text, keep="\n"))


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


def setting(value: object) -> str:
    """A setting's value: text as it is, members of a mapping in a row, else JSON; – for None."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
