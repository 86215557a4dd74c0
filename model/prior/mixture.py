"""A learned prior in NumPy, for serving: p(z) = Σ w_k N(mean_k, diag(scale_k²)).

`prior.npz` in a bundle holds it: weights float64 [K], means and scales float32 [K, d], d being the
values of a latent. Weights and scales are stored themselves and not as logarithms, because
NumPy's `exp` differs in the last bit between processors: draws are then made of additions and
multiplications alone, which IEEE 754 rounds exactly, and are bit-equal on every machine.

The density is the one of `model.prior.learned`, which a test holds it to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model import noise
from model.files import check_array, read_arrays, write_arrays
from model.noise import Purpose
from model.pixels import Floats, Nats

PRIOR = "prior.npz"

LARGEST = 1 << 28
"""Bytes that a mixture takes at most."""

_LOG_2PI = math.log(2 * math.pi)
_SUM_TOLERANCE = 1e-6
_TYPES = {"weights": "float64", "means": "float32", "scales": "float32"}


@dataclass(frozen=True, slots=True)
class Mixture:
    """K diagonal Gaussians over flattened latents of d values."""

    weights: Nats
    """[K], positive, their sum 1."""
    means: Floats
    """[K, d]"""
    scales: Floats
    """Standard deviations [K, d], positive."""

    @property
    def shape(self) -> tuple[int, int]:
        """(K, d)."""
        components, size = self.means.shape
        return components, size

    def log_density(self, latents: Floats) -> Nats:
        """log p(z) [n] of latents [n, …], in nats."""
        rows = latents.reshape(len(latents), -1).astype(np.float64)
        logs = np.empty((len(self.weights), len(rows)))
        # One component after the other: all at once would take K times the memory of the rows.
        for index, (weight, mean, scale) in enumerate(
            zip(self.weights, self.means, self.scales.astype(np.float64), strict=True)
        ):
            squares = np.square((rows - mean) / scale).sum(axis=1)
            constant = np.log(weight) - np.log(scale).sum() - 0.5 * len(scale) * _LOG_2PI
            logs[index] = constant - 0.5 * squares
        peak = logs.max(axis=0)
        density: Nats = peak + np.log(np.exp(logs - peak).sum(axis=0))
        return density

    def draw(
        self, seeds: Sequence[int], rows: Sequence[int], temperatures: Floats, shape: Sequence[int]
    ) -> Floats:
        """Latents mean_k + temperature · (scale_k · ε), float32 [n, *shape].

        Row i is row `rows[i]` of `seeds[i]`, with the ε that it has as a draw from N(0, I), and
        `temperatures` [n] are theirs. Its component k is where a uniform number of
        `Purpose.COMPONENT` falls among the running sums of the weights.
        """
        uniform = noise.uniform_rows(seeds, rows, Purpose.COMPONENT, (1,))[:, 0]
        # Without the last sum, which rounding may leave below 1.
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], uniform, side="right")
        normal = noise.standard_normal_rows(seeds, rows, Purpose.PRIOR, (self.means.shape[1],))
        latents: Floats = self.means[chosen] + temperatures[:, None] * (
            self.scales[chosen] * normal
        )
        return latents.reshape(len(seeds), *shape)


def draw_latents(
    mixture: Mixture | None, seed: int, n: int, shape: Sequence[int], *, first: int = 0
) -> Floats:
    """Rows `first` … `first` + n − 1 of a seed, float32 [n, *shape], from a mixture or else from
    N(0, I): what `/sample` draws."""
    if mixture is None:
        return noise.standard_normal(seed, Purpose.PRIOR, first, n, shape)
    return mixture.draw([seed] * n, range(first, first + n), np.ones(n, np.float32), shape)


def write_mixture(mixture: Mixture) -> bytes:
    """The content of `prior.npz`."""
    return write_arrays({name: getattr(mixture, name) for name in _TYPES})


def parse_mixture(content: bytes) -> Mixture:
    """Reads `prior.npz`; nothing in it is unpickled.

    Raises:
        ValueError: it is damaged, or holds no mixture.
    """
    arrays = read_arrays(content, tuple(_TYPES), LARGEST)
    shape = arrays["means"].shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"means have the invalid shape {shape}")
    for name, dtype in _TYPES.items():
        check_array(name, arrays[name], (dtype,), shape[:1] if name == "weights" else shape)
        if name != "means" and not (arrays[name] > 0).all():
            raise ValueError(f"{name} should be positive, and are not")
    total = arrays["weights"].sum()
    if abs(total - 1) > _SUM_TOLERANCE:
        raise ValueError(f"weights should sum to 1, and sum to {total:.6g}")
    return Mixture(**arrays)
