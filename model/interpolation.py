"""Paths between two latents, in NumPy.

Linear: z(t) = a + t (b − a).

Spherical: the direction turns from a/|a| to b/|b| in equal angles along the great circle through
both (Shoemake 1985, "Animating rotation with quaternion curves"), and the norm goes linearly from
|a| to |b|. Latents of N(0, I) in many dimensions lie near a sphere of radius √d, which a straight
line leaves: its middle is shorter than almost any latent that the decoder was trained on (White
2016, "Sampling generative networks", arXiv:1609.04468, §2.1).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.pixels import Floats

Path = Literal["linear", "spherical"]

_SMALLEST_SINE = 1e-12
"""Below it the plane of two float64 unit vectors is rounding error."""


def between(start: Floats, end: Floats, steps: int, path: Path) -> Floats:
    """Latents [steps, *shape] from `start` [*shape] to `end` [*shape], both bit-equal to theirs.

    Where a sphere has no one way, a spherical path is defined so:

    - parallel vectors, or a zero among them: the straight line, as is its limit;
    - opposite vectors: any great circle is as short, and the one towards the coordinate axis on
      which `start` is smallest is taken, the first of several; the straight line in one dimension.

    Raises:
        ValueError: fewer than two steps, or ends of different shapes.
    """
    if steps < 2 or start.shape != end.shape:
        msg = f"need 2 steps and ends of one shape, got {steps} steps, {start.shape}, {end.shape}"
        raise ValueError(msg)
    inner = np.linspace(0.0, 1.0, steps)[1:-1, np.newaxis]
    first, last = (one.astype(np.float64).reshape(-1) for one in (start, end))
    way = _spherical if path == "spherical" else _linear
    latents = np.empty((steps, *start.shape), np.float32)
    latents[1:-1] = way(first, last, inner).reshape(-1, *start.shape)
    latents[0], latents[-1] = start, end
    return latents


_Vector = NDArray[np.float64]


def _linear(start: _Vector, end: _Vector, times: _Vector) -> _Vector:
    return start + times * (end - start)


def _spherical(start: _Vector, end: _Vector, times: _Vector) -> _Vector:
    from_norm, to_norm = np.linalg.norm(start), np.linalg.norm(end)
    if not from_norm or not to_norm:
        return _linear(start, end, times)
    direction, target = start / from_norm, end / to_norm
    cosine = direction @ target
    side = _orthogonal(target, direction)
    sine = np.linalg.norm(side)
    if sine < _SMALLEST_SINE:
        if cosine > 0 or start.size == 1:
            return _linear(start, end, times)
        axis = np.zeros_like(direction)
        axis[np.argmin(np.abs(direction))] = 1.0
        side = _orthogonal(axis, direction)
    angles = times * np.arctan2(sine, cosine)
    turned = np.cos(angles) * direction + np.sin(angles) * (side / np.linalg.norm(side))
    spherical: _Vector = turned * (from_norm + times * (to_norm - from_norm))
    return spherical


def _orthogonal(vector: _Vector, unit: _Vector) -> _Vector:
    """The part of `vector` at a right angle to `unit`; taken twice, against cancellation."""
    once = vector - (vector @ unit) * unit
    twice: _Vector = once - (once @ unit) * unit
    return twice
