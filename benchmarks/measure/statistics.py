"""Repeated measurements as a median with its range."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repeated measurements, the smallest and the largest of them."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Summarises at least one measurement.

    Raises:
        ValueError: there is none.
    """
    if not values:
        msg = "a spread needs at least one measurement"
        raise ValueError(msg)
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired_ratios(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """values[i] / baseline[i], summarised.

    Both of a pair are measured one right after the other, so that what else the machine does
    weighs on both alike; a ratio of the two medians would lose that.

    Raises:
        ValueError: the lengths differ, there is no pair, or a baseline is not positive.
    """
    if len(values) != len(baseline):
        msg = f"pairs need equal lengths, got {len(values)} and {len(baseline)}"
        raise ValueError(msg)
    if any(below <= 0 for below in baseline):
        msg = f"every baseline must be positive, got {min(baseline)}"
        raise ValueError(msg)
    return spread([value / below for value, below in zip(values, baseline, strict=True)])


def paired_differences(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """values[i] − baseline[i], summarised; as `paired_ratios` and for its reason.

    Raises:
        ValueError: the lengths differ, or there is no pair.
    """
    return spread([value - below for value, below in zip(values, baseline, strict=True)])
