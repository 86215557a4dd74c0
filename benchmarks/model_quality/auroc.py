"""The area under the ROC curve of a score, with its standard error by DeLong's method."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auroc:
    """The probability that a foreign image has a higher score than a usual one; ties count half.

    1 separates all images, 0.5 is chance, and below 0.5 the scores are reversed.
    """

    value: float
    standard_error: float
    """0 if the two sets do not overlap."""


def auroc(usual: Scores, foreign: Scores) -> Auroc:
    """Computes the area from independent scores [n] and [m], n and m at least 2.

    The standard error is that of DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas
    under two or more correlated receiver operating characteristic curves: a nonparametric
    approach", for one curve: from the placement of each image among the others.

    Raises:
        ValueError: a side has fewer than two scores.
    """
    if min(len(usual), len(foreign)) < 2:
        msg = f"needs two scores of each, got {len(usual)} usual and {len(foreign)} foreign"
        raise ValueError(msg)
    of_foreign = _placements(foreign, usual)
    of_usual = 1 - _placements(usual, foreign)
    variance = of_foreign.var(ddof=1) / len(foreign) + of_usual.var(ddof=1) / len(usual)
    return Auroc(float(of_foreign.mean()), math.sqrt(variance))


def _placements(values: Scores, others: Scores) -> Scores:
    """For each value, the share of `others` below it, equal ones counting half."""
    ordered = np.sort(others)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(ranks / (2 * len(others)), dtype=np.float64)
