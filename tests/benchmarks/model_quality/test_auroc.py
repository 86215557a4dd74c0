"""The area under the ROC curve and its error."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.model_quality.auroc import auroc


def test_by_hand() -> None:
    """Of nine pairs seven are in order and one is tied."""
    area = auroc(np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0, 5.0]))

    # Above 2: {1} and half {2}; above 3: {1, 2}; above 5: all three.
    assert area.value == pytest.approx((1.5 + 2 + 3) / 9)
    # Placements of the foreign ½, ⅔, 1 and of the usual 1, 5/6, ⅓, each over 3.
    expected = (np.var([1 / 2, 2 / 3, 1], ddof=1) + np.var([1, 5 / 6, 1 / 3], ddof=1)) / 3
    assert area.standard_error == pytest.approx(expected**0.5)


def test_the_ends_and_the_middle() -> None:
    """Sets apart give 1 or 0 without error; equal ones ½."""
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    assert (auroc(low, high).value, auroc(low, high).standard_error) == (1, 0)
    assert auroc(high, low).value == 0
    assert auroc(low, low).value == 0.5


def test_the_error_is_that_of_repeated_draws() -> None:
    """Over 400 draws of two normal samples the area scatters by what each says, to 10 %, around
    Φ(1/√2)."""
    rng = np.random.default_rng(0)
    areas = [auroc(rng.normal(size=80), rng.normal(1, 1, 120)) for _ in range(400)]
    values = np.array([area.value for area in areas])

    assert values.mean() == pytest.approx(0.7602, abs=0.005)
    told = np.mean([area.standard_error for area in areas])
    assert told == pytest.approx(values.std(ddof=1), rel=0.1)


def test_too_few_scores_are_refused() -> None:
    """One image has no spread."""
    with pytest.raises(ValueError, match="two scores of each, got 1 usual"):
        auroc(np.zeros(1), np.zeros(5))
