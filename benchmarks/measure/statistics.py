"""Repeated measurements as a median with its range."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """The median, the lowest and the highest of repeated measurements, and their number."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistics:
        """Summarises measurements.

        Raises:
            ValueError: `values` is empty.
        """
        if not values:
            raise ValueError("statistics need at least one measurement")
        return cls(statistics.median(values), min(values), max(values), len(values))

    def scaled(self, factor: float) -> Statistics:
        """The same measurements in another unit; `factor` is positive."""
        return Statistics(self.median * factor, self.low * factor, self.high * factor, self.count)


def paired_ratios(values: Sequence[float], baseline: Sequence[float]) -> Statistics:
    """Summarises values[i] / baseline[i].

    The two measurements of a pair follow each other, so a disturbance of the machine affects both
    and cancels in their ratio. It would not cancel in a ratio of two medians.

    Raises:
        ValueError: the lengths differ, both are empty, or a baseline is not positive.
    """
    if len(values) != len(baseline):
        raise ValueError(f"pairs need equal lengths, got {len(values)} and {len(baseline)}")
    if any(below <= 0 for below in baseline):
        raise ValueError(f"every baseline must be positive, got {min(baseline)}")
    return Statistics.of([value / below for value, below in zip(values, baseline, strict=True)])


def paired_differences(values: Sequence[float], baseline: Sequence[float]) -> Statistics:
    """Summarises values[i] − baseline[i], in pairs for the reason that `paired_ratios` gives.

    Raises:
        ValueError: the lengths differ, or both are empty.
    """
    return Statistics.of([value - below for value, below in zip(values, baseline, strict=True)])
