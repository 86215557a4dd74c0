"""What a batch computes: a graph and the NumPy around it, for the rows of all callers at once.

Each method takes rows [n, …] and returns arrays [n, …] whose row i depends on row i alone. A
lane runs it, so it doesn't block the event loop, and n rows cost far less than n times one row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.inference.batch import Outputs
from app.inference.loader import Loaded
from app.inference.prior import Prior
from model import pixels
from model.bundle.scaling import scaling_of
from model.likelihood import bounds
from model.pixels import Floats, Images

Draws = NDArray[np.float64]
"""Latents to draw, float64 [n, 3]: seed, row and temperature. Seeds are below 2^53, so exact."""

DRAW_SHAPE = (3,)


def draws(seed: int, n: int, temperature: float, first: int = 0) -> Draws:
    """Rows first … first + n − 1 of a seed."""
    rows = np.empty((n, *DRAW_SHAPE))
    rows[:, 0] = seed
    rows[:, 1] = np.arange(first, first + n)
    rows[:, 2] = temperature
    return rows


class Pipelines:
    """Everything that a bundle computes.

    The `_floats` have pixels as numbers in the model's own range. The `_tensors` are those of the
    Open Inference Protocol.
    """

    def __init__(self, loaded: Loaded, prior: Prior) -> None:
        manifest = loaded.bundle.manifest
        self._encoder, self._decoder = loaded.encoder, loaded.decoder
        self._range = manifest.input.value_range
        self._scaling = scaling_of(manifest.latent)
        self._prior = prior
        self._has_kl = loaded.bundle.mixture is None

    def encode(self, images: Images) -> Outputs:
        """Images uint8 [n, h, w, c] → mean and logvar, float32 [n, *latent_shape]."""
        return self.encode_floats(pixels.to_float(images, self._range))

    def encode_floats(self, rows: Floats) -> Outputs:
        """Pixels float32 [n, c, h, w] in the model's range → the outputs of `encode`."""
        mean, logvar = self._encoder.run(rows, ("mean", "logvar"))
        return self._scaling.served(mean), self._scaling.served_logvar(logvar)

    def decode(self, latents: Floats) -> Outputs:
        """Latents → images uint8 [n, h, w, c], and bool [n]: whether every pixel was finite."""
        return self._shown(*self._decoded(latents, "pixels"))

    def decode_floats(self, latents: Floats) -> Outputs:
        """Latents → pixels float32 [n, c, h, w] in the model's range, not clamped, and whether they
        are finite, bool [n]."""
        (decoded,) = self._decoded(latents, "pixels")
        return decoded, pixels.finite_rows(decoded)

    def sample(self, rows: Draws) -> Outputs:
        """`Draws` → the outputs of `decode`, and the latents, float32 [n, *latent_shape]."""
        seeds, numbers = rows[:, 0].astype(int).tolist(), rows[:, 1].astype(int).tolist()
        latents = self._prior.draw(seeds, numbers, rows[:, 2].astype(np.float32))
        return (*self.decode(latents), latents)

    def reconstruct(self, images: Images) -> Outputs:
        """Images uint8 [n, h, w, c] → the outputs of `decode` for their posterior means, the means,
        the squared errors in units of [0, 1], and unless the prior is a mixture the KL in nats."""
        low, high = self._range
        rows = pixels.to_float(images, self._range)
        mean, logvar = self._encoder.run(rows, ("mean", "logvar"))
        (decoded,) = self._decoder.run(mean, ("pixels",))
        squared_error = bounds.squared_error(rows, decoded) / (high - low) ** 2
        kl = (bounds.kl(mean, logvar),) if self._has_kl else ()
        return (*self._shown(decoded), self._scaling.served(mean), squared_error, *kl)

    def params(self, latents: Floats) -> Outputs:
        """Latents → the likelihood's parameters, float32 [n, c, h, w]."""
        return self._decoded(latents, "params")

    def decode_tensors(self, latents: Floats) -> Outputs:
        """Latents → pixels and the likelihood's parameters, each float32 [n, c, h, w]."""
        return self._decoded(latents, "pixels", "params")

    def reconstruct_tensors(self, rows: Floats) -> Outputs:
        """Pixels float32 [n, c, h, w] in the model's range → the pixels of their posterior means,
        the means and the log-variances."""
        mean, logvar = self._encoder.run(rows, ("mean", "logvar"))
        (decoded,) = self._decoder.run(mean, ("pixels",))
        return decoded, self._scaling.served(mean), self._scaling.served_logvar(logvar)

    def _decoded(self, latents: Floats, *outputs: str) -> Outputs:
        return tuple(self._decoder.run(self._scaling.trained(latents), outputs))

    def _shown(self, decoded: Floats) -> tuple[Images, NDArray[np.bool_]]:
        # Values beyond float32 become white; the second output marks rows with NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            return pixels.to_uint8(decoded, self._range), pixels.finite_rows(decoded)
