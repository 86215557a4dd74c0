"""The norms of an epoch, before clipping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.fit.health import GradientNorms

NORMS = st.lists(st.floats(0, 1e6), min_size=1, max_size=20)


@given(NORMS)
def test_mean_largest_and_clipped(norms: list[float]) -> None:
    """The figures are those of the norms that were added."""
    gradients = GradientNorms()
    for norm in norms:
        gradients.add(norm, 200.0)

    assert gradients.mean == pytest.approx(sum(norms) / len(norms))
    assert gradients.largest == max(norms)
    assert gradients.clipped_share == sum(norm > 200 for norm in norms) / len(norms)


def test_nothing_is_nothing() -> None:
    """Before the first step the figures are 0."""
    assert (GradientNorms().mean, GradientNorms().clipped_share) == (0.0, 0.0)
