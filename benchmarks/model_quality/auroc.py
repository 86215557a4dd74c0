"""The area under the ROC curve of a score, with its standard error by DeLong's method."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auroc:
    """Probability that a foreign image has a higher score than a usual one, ties counting
    half: 1 tells all apart, 0.5 is no better than a coin, below it the scores are reversed."""

    value: float
    standard_error: float
    """0 where the two sets do not overlap, which says no more than that."""


def auroc(usual: Scores, foreign: Scores) -> Auroc:
    """Of independent scores [n] and [m], n and m at least 2.

    The standard error is that of DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas
    under two or more correlated receiver operating characteristic curves: a nonparametric
    approach", for one curve: from how often each image is placed right among the others.

    Raises:
        ValueError: fewer than two scores on a side.
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
