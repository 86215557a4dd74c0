"""How alike two sets of feature vectors are: pure functions in NumPy, float64.

`frechet_distance` compares their means and covariances; `neighbours` measures how many samples
look real (precision, density) and how much of the real set they cover (recall, coverage).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
"""[n, d]."""

NEAREST = 5
"""k: which neighbour's distance is the radius of a vector's ball, as in Naeem et al. 2020."""

_ROWS = 500


@dataclass(frozen=True)
class Neighbours:
    """Shares of two sets that lie near each other. All are 0 for sets far apart."""

    precision: float
    """Of the samples, those in a real one's ball: 0 … 1."""
    recall: float
    """Of the real ones, those in a sample's ball: 0 … 1."""
    density: float
    """How many real ones' balls a sample lies in, over k; 1 for samples of the same distribution,
    and more where samples crowd."""
    coverage: float
    """Of the real ones, those with a sample in their ball: 0 … 1."""


def frechet_distance(first: Vectors, second: Vectors) -> float:
    """|μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½) of vectors [n, d] and [m, d].

    The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982), as
    Heusel et al. 2017 use it on features. Estimated covariances have the divisor n − 1; with few
    vectors the distance comes out too large, so only equal numbers compare.

    Raises:
        ValueError: a set has fewer than two vectors.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a covariance needs two vectors, got {len(first)} and {len(second)}")
    apart = first.mean(axis=0) - second.mean(axis=0)
    one, other = (np.atleast_2d(np.cov(vectors, rowvar=False)) for vectors in (first, second))
    # C₁ C₂ has the eigenvalues of C₁^½ C₂ C₁^½, which is symmetric: none gets an imaginary part.
    values, directions = np.linalg.eigh(one)
    root = (directions * np.sqrt(values.clip(0))) @ directions.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return float(apart @ apart + np.trace(one) + np.trace(other) - 2 * shared)


def neighbours(real: Vectors, samples: Vectors, nearest: int = NEAREST) -> Neighbours:
    """Precision and recall (Kynkäänniemi et al. 2019, equation 2), density and coverage
    (Naeem et al. 2020) of vectors [n, d] and [m, d].

    A vector's ball reaches to its k-th nearest neighbour in its own set, itself not counted.

    Raises:
        ValueError: a set has no more than `nearest` vectors.
    """
    if min(len(real), len(samples)) <= nearest:
        raise ValueError(
            f"{nearest} neighbours need more than {nearest} vectors, "
            f"got {len(real)} and {len(samples)}"
        )
    real_radii, sample_radii = _radii(real, nearest), _radii(samples, nearest)
    balls = np.zeros(len(samples), dtype=np.int64)
    recalled, covered = 0, 0
    for rows, distances in _distances(real, samples):
        inside = distances <= real_radii[rows, np.newaxis]
        balls += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        recalled += int((distances <= sample_radii).any(axis=1).sum())
    return Neighbours(
        precision=float((balls > 0).mean()),
        recall=recalled / len(real),
        density=float(balls.mean() / nearest),
        coverage=covered / len(real),
    )


def _radii(vectors: Vectors, nearest: int) -> NDArray[np.float64]:
    """Squared distances [n] to each vector's `nearest`-th neighbour."""
    radii = np.empty(len(vectors))
    for rows, distances in _distances(vectors, vectors):
        itself = np.arange(rows.start, rows.stop)
        distances[itself - rows.start, itself] = 0  # which rounding made of about 1e-12
        radii[rows] = np.partition(distances, nearest, axis=1)[:, nearest]
    return radii


def _distances(first: Vectors, second: Vectors) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Squared distances, a few rows of `first` at a time, as all of them are too many to keep."""
    squares = np.square(second).sum(axis=1)
    for start in range(0, len(first), _ROWS):
        rows = slice(start, min(start + _ROWS, len(first)))
        own = np.square(first[rows]).sum(axis=1)[:, np.newaxis]
        yield rows, (own + squares - 2 * first[rows] @ second.T).clip(0)
