"""What a batch computes: a graph with the NumPy around it, for all rows of all callers at once.

Each function takes rows [n, …] and answers arrays [n, …], and each row depends on nothing but
itself. A lane runs them, so nothing of this stands in the event loop's way, and n rows cost far
less than n times one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.calls import Array, Outputs
from model import likelihood, noise, pixels
from model.noise import Purpose
from model.pixels import Floats, Images, Range
from model.runtime import Graph

Run = Callable[[Array], Outputs]
Draws = NDArray[np.float64]
"""Latents to draw, float64 [n, 3]: seed, row and temperature; seeds end at 2^53, and fit."""

DRAW_SHAPE = (3,)


def draws(seed: int, n: int, temperature: float, first: int = 0) -> Draws:
    """Rows first … first + n − 1 of a seed."""
    rows = np.empty((n, *DRAW_SHAPE))
    rows[:, 0] = seed
    rows[:, 1] = np.arange(first, first + n)
    rows[:, 2] = temperature
    return rows


def encoding(encoder: Graph, value_range: Range) -> Run:
    """Images uint8 [n, h, w, c] → mean and logvar, float32 [n, *latent_shape]."""

    def run(images: Images) -> Outputs:
        return tuple(encoder.run(pixels.to_float(images, value_range), ("mean", "logvar")))

    return run


def decoding(decoder: Graph, value_range: Range) -> Run:
    """Latents → pictures uint8 [n, h, w, c], and bool [n]: every pixel was a finite number."""

    def run(latents: Floats) -> Outputs:
        return _shown(decoder.run(latents, ("pixels",))[0], value_range)

    return run


def sampling(decoder: Graph, value_range: Range, shape: tuple[int, ...]) -> Run:
    """`Draws` → what `decoding` answers, and the latents, float32 [n, *shape]."""
    decode = decoding(decoder, value_range)

    def run(rows: Draws) -> Outputs:
        seeds, numbers = rows[:, 0].astype(int).tolist(), rows[:, 1].astype(int).tolist()
        normal = noise.standard_normal_rows(seeds, numbers, Purpose.PRIOR, shape)
        temperatures = rows[:, 2].astype(np.float32).reshape(-1, *(1 for _ in shape))
        latents = normal * temperatures
        return (*decode(latents), latents)

    return run


def reconstructing(encoder: Graph, decoder: Graph, value_range: Range) -> Run:
    """Images uint8 [n, h, w, c] → what `decoding` answers for their posterior means, the means,
    squared errors in units of [0, 1], and KL in nats."""
    low, high = value_range
    unit = (high - low) ** 2

    def run(images: Images) -> Outputs:
        rows = pixels.to_float(images, value_range)
        mean, logvar = encoder.run(rows, ("mean", "logvar"))
        decoded = decoder.run(mean, ("pixels",))[0]
        squared_error = likelihood.squared_error(rows, decoded) / unit
        return (*_shown(decoded, value_range), mean, squared_error, likelihood.kl(mean, logvar))

    return run


def params(decoder: Graph) -> Run:
    """Latents → the likelihood's parameters, shaped like images inside."""
    return partial(_params, decoder)


def _params(decoder: Graph, latents: Floats) -> Outputs:
    return tuple(decoder.run(latents, ("params",)))


def _shown(decoded: Floats, value_range: Range) -> tuple[Images, NDArray[np.bool_]]:
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(decoded), axis=(1, 2, 3))
    # Beyond float32 is beyond white; what is no number is told by `finite`.
    with np.errstate(over="ignore", invalid="ignore"):
        return pixels.to_uint8(decoded, value_range), finite
