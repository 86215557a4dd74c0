"""The KL divergence and the importance-weighted bound in NumPy, for serving and evaluation.

`model.networks.elbo` has the same quantities in torch, and a test compares the two. Every value is
in nats and a sum over an image's or a latent's values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model.pixels import Floats
from model.pixels import Nats as Nats

_LOG_2PI = math.log(2 * math.pi)


def kl_per_dimension(mean: Floats, logvar: Floats) -> Nats:
    """KL[N(mean, exp(logvar)) ‖ N(0, 1)] of each latent value, shaped like `mean`, in nats."""
    wide_mean, wide_logvar = mean.astype(np.float64), logvar.astype(np.float64)
    terms: Nats = 0.5 * (np.square(wide_mean) + np.expm1(wide_logvar) - wide_logvar)
    return terms


def kl(mean: Floats, logvar: Floats) -> Nats:
    """KL[N(mean, diag exp(logvar)) ‖ N(0, I)] [n] (Kingma & Welling 2014, appendix B)."""
    return _sum_per_row(kl_per_dimension(mean, logvar))


def kl_estimate(log_prior: Nats, logvar: Floats) -> Nats:
    """KL[q(z|x) ‖ p(z)] [n] from log p(z) [n] of a draw, or of several's mean; the entropy of
    q(z|x), of log-variances [n, …], is exact."""
    negative_entropy = -0.5 * _sum_per_row(1 + logvar + np.float32(_LOG_2PI))
    return negative_entropy - log_prior


def squared_error(targets: Floats, pixels: Floats) -> Nats:
    """Σ (x − pixels)² [n], both in [0, 1] and shaped [n, …]."""
    return _sum_per_row(np.square(targets - pixels))


def reparameterize(mean: Floats, logvar: Floats, noise: Floats) -> Floats:
    """z = mean + exp(logvar / 2) · ε, all of one shape."""
    return np.asarray(mean + np.exp(logvar / 2) * noise, dtype=np.float32)


def log_importance_weight(
    log_likelihood: Nats,
    latents: Floats,
    noise: Floats,
    logvar: Floats,
    log_prior: Nats | None = None,
) -> Nats:
    """log w = log p(x|z) + log p(z) − log q(z|x), [n], for z = mean + exp(logvar/2)·ε.

    With that z, log q(z|x) is taken from ε itself, which is exact where (z − mean)/σ cancels.
    `log_prior` [n] is log p(z); None: that of N(0, I).
    """
    if log_prior is None:
        difference = np.square(noise) + logvar - np.square(latents)
        weights: Nats = log_likelihood + 0.5 * _sum_per_row(difference)
        return weights
    negative_log_posterior = 0.5 * _sum_per_row(np.square(noise) + logvar + np.float32(_LOG_2PI))
    return log_likelihood + log_prior + negative_log_posterior


def importance_weighted_bound(log_weights: Nats) -> Nats:
    """logsumexp over K of log w [n, K] − log K: [n] (Burda et al. 2016, equation 8)."""
    weights, peak = _scaled_weights(log_weights)
    bound: Nats = peak + np.log(weights.mean(axis=1))
    return bound


def standard_error(log_weights: Nats) -> Nats:
    """Standard error of `importance_weighted_bound` over its K draws, [n]; NaN if K is 1.

    The delta method (Casella & Berger 2002, theorem 5.5.24): with the mean weight w̄ and its
    standard error s/√K, s² having the divisor K − 1, that of log w̄ is s/(w̄ √K). It knows only
    of the weights that were drawn: where a few carry the sum, as a small
    `effective_sample_size` tells, the bound lies too low by more than this.
    """
    weights, _ = _scaled_weights(log_weights)
    count = weights.shape[1]
    if count == 1:
        return np.full(len(weights), np.nan)
    spread = weights.std(axis=1, ddof=1) / weights.mean(axis=1)
    error: Nats = spread / math.sqrt(count)
    return error


def effective_sample_size(log_weights: Nats) -> Nats:
    """(Σ w)² / Σ w² of log w [n, K]: [n], from 1, one weight counts, to K, all are equal.

    Kish 1965, "Survey Sampling", section 11.7; for importance weights Kong 1992 and Owen 2013,
    "Monte Carlo theory, methods and examples", section 9.3.
    """
    weights, _ = _scaled_weights(log_weights)
    size: Nats = np.square(weights.sum(axis=1)) / np.square(weights).sum(axis=1)
    return size


def _scaled_weights(log_weights: Nats) -> tuple[Nats, Nats]:
    """Weights [n, K] divided by each row's largest, and the logarithm of that one, [n]."""
    peak: Nats = log_weights.max(axis=1, keepdims=True)
    weights: Nats = np.exp(log_weights - peak)
    return weights, peak[:, 0]


def _sum_per_row(terms: NDArray[np.floating]) -> Nats:
    return np.asarray(terms.reshape(len(terms), -1).sum(axis=1, dtype=np.float64))
