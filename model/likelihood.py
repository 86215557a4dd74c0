"""Log-likelihoods, the KL divergence and the importance-weighted bound in NumPy, for serving.

Same quantities as `model.elbo`, which a test holds it to. One picture's targets [c, h, w]
broadcast against many decoded rows [K, c, h, w]. Every figure is in nats and a sum over
the picture's or the latent's values. `params` is the decoder's second output: logits for a
Bernoulli likelihood, the unclamped mean otherwise.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Nats = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)


def bernoulli(targets: Floats, logits: Floats) -> Nats:
    """Σ x·l − softplus(l): log p(x) [n] of binary targets [n, …] under logits [n, …].

    The stable form max(l, 0) + log1p(exp(−|l|)) of softplus stays finite for any finite logit.
    """
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return _sum_per_row(targets * logits - softplus)


def gaussian(targets: Floats, mean: Floats, scale: float) -> Nats:
    """log N(x; mean, scale² I) [n] of targets [n, …] in [0, 1]; a density, so it may exceed 0."""
    squares = _sum_per_row(np.square((targets - mean) / np.float32(scale)))
    size = math.prod(mean.shape[1:])
    return -0.5 * squares - size * (math.log(scale) + 0.5 * _LOG_2PI)


def log_likelihood(
    family: Literal["bernoulli", "gaussian"], scale: float | None, targets: Floats, params: Floats
) -> Nats:
    """log p(x|z) [n] of targets in [0, 1] (binary for a Bernoulli) under the decoder's `params`.

    Raises:
        ValueError: a Gaussian without a scale.
    """
    if family == "bernoulli":
        return bernoulli(targets, params)
    if scale is None:
        msg = "a Gaussian likelihood needs its scale"
        raise ValueError(msg)
    return gaussian(targets, params, scale)


def kl_per_dimension(mean: Floats, logvar: Floats) -> Nats:
    """KL[N(mean, exp(logvar)) ‖ N(0, 1)] of each latent value, shaped like `mean`, in nats."""
    wide_mean, wide_logvar = mean.astype(np.float64), logvar.astype(np.float64)
    terms: Nats = 0.5 * (np.square(wide_mean) + np.expm1(wide_logvar) - wide_logvar)
    return terms


def kl(mean: Floats, logvar: Floats) -> Nats:
    """KL[N(mean, diag exp(logvar)) ‖ N(0, I)] [n] (Kingma & Welling 2014, appendix B)."""
    return _sum_per_row(kl_per_dimension(mean, logvar))


def squared_error(targets: Floats, pixels: Floats) -> Nats:
    """Σ (x − pixels)² [n], both in [0, 1] and shaped [n, …]."""
    return _sum_per_row(np.square(targets - pixels))


def reparameterize(mean: Floats, logvar: Floats, noise: Floats) -> Floats:
    """z = mean + exp(logvar / 2) · ε, all of one shape."""
    return np.asarray(mean + np.exp(logvar / 2) * noise, dtype=np.float32)


def log_importance_weight(
    log_likelihood: Nats, latents: Floats, noise: Floats, logvar: Floats
) -> Nats:
    """log w = log p(x|z) + log p(z) − log q(z|x), [n], for z = mean + exp(logvar/2)·ε.

    With that z, log q(z|x) is taken from ε itself, which is exact where (z − mean)/σ cancels.
    """
    difference = np.square(noise) + logvar - np.square(latents)
    weights: Nats = log_likelihood + 0.5 * _sum_per_row(difference)
    return weights


def importance_weighted_bound(log_weights: Nats) -> Nats:
    """logsumexp over K of log w [n, K] − log K: [n] (Burda et al. 2016, equation 8)."""
    peak = log_weights.max(axis=1, keepdims=True)
    shifted = np.exp(log_weights - peak).mean(axis=1)
    bound: Nats = peak[:, 0] + np.log(shifted)
    return bound


def _sum_per_row(terms: NDArray[np.floating]) -> Nats:
    return np.asarray(terms.reshape(len(terms), -1).sum(axis=1, dtype=np.float64))
