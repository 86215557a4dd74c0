"""Medians, ranges and ratios of repeated measurements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure.statistics import Statistics, paired_ratios

POSITIVE = st.floats(1e-3, 1e6)


def test_statistics_of_an_even_count() -> None:
    """The median of an even count lies between the two in the middle."""
    assert Statistics.of([4.0, 1.0, 3.0, 2.0]) == Statistics(2.5, 1.0, 4.0, 4)


def test_no_measurement_is_refused() -> None:
    """Statistics of no measurement raise an error."""
    with pytest.raises(ValueError, match="at least one"):
        Statistics.of([])


@given(st.lists(st.tuples(POSITIVE, st.floats(0.5, 2)), min_size=1))
def test_a_common_disturbance_cancels(pairs: list[tuple[float, float]]) -> None:
    """A disturbance of both measurements of a pair does not change their ratio."""
    ours = [3 * rate * disturbed for rate, disturbed in pairs]
    theirs = [2 * rate * disturbed for rate, disturbed in pairs]
    ratios = paired_ratios(ours, theirs)
    assert ratios.low == pytest.approx(1.5)
    assert ratios.high == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("values", "baseline", "why"),
    [([1.0], [1.0, 2.0], "equal lengths"), ([1.0], [0.0], "positive"), ([], [], "at least one")],
)
def test_impossible_pairs_are_refused(values: list[float], baseline: list[float], why: str) -> None:
    """Ratios need as many positive baselines as there are values."""
    with pytest.raises(ValueError, match=why):
        paired_ratios(values, baseline)
