"""Bar charts as SVG files: axes from zero, ranges of repeated measurements, light and dark.

The colours are of middle lightness and the background is the page's, because an image in a
document can't know whether it is shown on white or on black.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _LABELS, _VALUES = 760, 190, 150
_PLOT = _WIDTH - _LABELS - _VALUES
_BAR, _STEP, _TITLE, _AXIS, _GAP = 16, 26, 30, 34, 18
_TEXT, _FAINT, _OURS, _OTHERS = "#737c86", "#9aa3ad", ("#2f81c7", "#8fb8dc"), ("#8a8f98", "#b9bec6")


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: parts side by side from zero, and the range of their sum where it was repeated."""

    label: str
    parts: tuple[float, ...]
    low: float
    high: float
    value: str
    """What is written beside it."""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars over one axis."""

    title: str
    unit: str
    bars: tuple[Bar, ...]

    @property
    def height(self) -> int:
        """Pixels, the axis and the gap below it included."""
        return _TITLE + _STEP * len(self.bars) + _AXIS + _GAP


def svg(title: str, panels: Sequence[Panel]) -> str:
    """One image of panels below each other."""
    height = sum(panel.height for panel in panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14">',
        f"<title>{escape(title)}</title>",
    ]
    top = 0
    for panel in panels:
        lines.extend(_panel(panel, top))
        top += panel.height
    return "\n".join([*lines, "</svg>", ""])


def ticks(largest: float) -> list[float]:
    """From 0 up to at least `largest`, by 1, 2 or 5 times a power of ten, in at most six steps."""
    power = 10 ** math.floor(math.log10(largest / 6)) if largest > 0 else 1.0
    step = next(
        power * factor for factor in (1, 2, 5, 10, 20) if power * factor * 6 >= largest * 0.999
    )
    return [step * number for number in range(math.ceil(largest / step * 0.999) + 1)]


def _panel(panel: Panel, top: int) -> Iterator[str]:
    marks = ticks(max(bar.high for bar in panel.bars))
    scale = _PLOT / (marks[-1] or 1)
    bottom = top + _TITLE + _STEP * len(panel.bars)
    yield _text(0, top + 18, panel.title, weight="bold")
    for mark in marks:
        x = _LABELS + mark * scale
        yield (
            f'<line x1="{x:.1f}" y1="{top + _TITLE}" x2="{x:.1f}" y2="{bottom}" '
            f'stroke="{_FAINT}" stroke-opacity="0.4"/>'
        )
        yield _text(x, bottom + 16, f"{mark:g}", anchor="middle", size=12)
    yield _text(_LABELS + _PLOT, bottom + 31, panel.unit, anchor="end", size=12)
    for number, bar in enumerate(panel.bars):
        yield from _bar(bar, top + _TITLE + _STEP * number + (_STEP - _BAR) // 2, scale)


def _bar(bar: Bar, top: int, scale: float) -> Iterator[str]:
    weight = "bold" if bar.ours else "normal"
    baseline = top + _BAR - 3
    yield _text(_LABELS - 8, baseline, bar.label, anchor="end", weight=weight)
    left = float(_LABELS)
    for part, colour in zip(bar.parts, _OURS if bar.ours else _OTHERS, strict=False):
        yield (
            f'<rect x="{left:.1f}" y="{top}" width="{max(0.0, part * scale):.1f}" '
            f'height="{_BAR}" fill="{colour}"/>'
        )
        left += part * scale
    low, high = _LABELS + bar.low * scale, _LABELS + bar.high * scale
    middle = top + _BAR / 2
    if high - low > 1:
        yield (
            f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8'
            f'M{high:.1f} {middle - 4}v8" stroke="{_TEXT}" fill="none"/>'
        )
    yield _text(max(left, high) + 8, baseline, bar.value, weight=weight)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 14, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{_TEXT}">{escape(text)}</text>'
    )
