"""The evidence lower bound and its parts, as pure functions of tensors.

Every value is in nats and a sum over the values of an image or latent, one for each image:
the mean over a batch is the caller's. (A mean over pixels beside a sum over latents weighs the
KL term hundreds of times too much, and the posterior collapses without a word.)

    log p(x) ≥ E_{q(z|x)}[log p(x|z)] − KL[q(z|x) ‖ p(z)]     (Kingma & Welling 2014, eq. 3)

with q(z|x) = N(mean, diag exp(logvar)) and p(z) = N(0, I), or a prior that is learned
(`model.prior.learned`), whose log p(z) of the draws takes the place of what N(0, I) has a
closed form for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from model.config import Family
from model.likelihood.families import FAMILIES, Arrays

_LOG_2PI = math.log(2 * math.pi)


def reparameterize(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """z = mean + exp(logvar / 2) · ε, so that gradients reach the encoder; all of one shape."""
    return mean + (0.5 * logvar).exp() * noise


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL[N(mean, exp(logvar)) ‖ N(0, 1)] of each latent value, in nats, shaped like `mean`."""
    return 0.5 * (mean.square() + logvar.expm1() - logvar)


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL[q(z|x) ‖ N(0, I)] [n], closed form (Kingma & Welling 2014, appendix B)."""
    return kl_per_dimension(mean, logvar).flatten(1).sum(1)


def kl_estimate(log_prior: Tensor, logvar: Tensor) -> Tensor:
    """KL[q(z|x) ‖ p(z)] [n] estimated from log p(z) [n] of one draw each, or of several's mean.

    log q(z|x) − log p(z), with log q(z|x) replaced by its expectation −½ Σ (1 + logvar + log 2π):
    what is left to chance is log p(z) alone. Reparameterised, both have the same gradient, as
    log q(z|x) of z = mean + exp(logvar/2)·ε depends on logvar, and otherwise on ε only.
    """
    return -0.5 * (1 + logvar + _LOG_2PI).flatten(1).sum(1) - log_prior


def optimal_scale(targets: Tensor, mean: Tensor, floor: float) -> Tensor:
    """The scale, at least `floor`, under which targets [n, …] are likeliest: their root mean
    squared error, one value for all of them (Rybkin et al. 2021).

    Gradients flow through it. With it the Gaussian log-likelihood is on average over the n
    −D (log σ* + ½ + ½ log 2π): what is minimised is the logarithm of the error.
    """
    return (targets - mean).square().mean().clamp(min=floor**2).sqrt()


class _TorchArrays:
    """`Arrays` in torch, with gradients."""

    expm1 = staticmethod(torch.expm1)
    square = staticmethod(torch.square)
    round = staticmethod(torch.round)
    log_sigmoid = staticmethod(functional.logsigmoid)

    def like(self, value: Tensor | float, array: Tensor) -> Tensor:
        return torch.as_tensor(value, dtype=array.dtype, device=array.device)

    def log(self, value: Tensor | float) -> Tensor:
        return torch.as_tensor(value).log()

    def where(self, condition: Tensor, value: Tensor, other: float, /) -> Tensor:
        return torch.where(condition, value, other)

    def log_bernoulli(self, targets: Tensor, logits: Tensor) -> Tensor:
        # On logits: a float32 sigmoid is exactly 0 or 1 long before the logits end.
        return -functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")

    def sum_per_row(self, terms: Tensor) -> Tensor:
        return terms.flatten(1).sum(1)


TORCH: Arrays = _TorchArrays()


def log_likelihood(
    family: Family,
    scale: Tensor | None,
    targets: Tensor,
    params: Tensor,
    levels: int | None = None,
) -> Tensor:
    """log p(x|z) [n] under the decoder's `params`; `scale` is one value of a Gaussian, [c] of a
    logistic, and None of a Bernoulli.

    Raises:
        ValueError: the family has a scale and none is given.
    """
    likelihood = FAMILIES[family]
    if scale is None and likelihood.has_scale:
        raise ValueError(f"a {family} likelihood needs its scale")
    found: Tensor = likelihood.log_probability(TORCH, targets, params, scale, levels)
    return found


def elbo(log_likelihood: Tensor, divergence: Tensor, beta: float = 1.0) -> Tensor:
    """log p(x|z) − β KL [n]: the bound at β = 1, the β-VAE's objective otherwise."""
    return log_likelihood - beta * divergence


def free_bits(divergences: Tensor, minimum: float) -> Tensor:
    """Σ over dimensions of max(λ, mean KL over the batch): a scalar, in nats.

    divergences [n, …] is the KL of each latent value; λ = `minimum` is in nats a dimension. What a
    dimension holds below λ costs nothing more, so nothing is gained by emptying it (Kingma et al.
    2016, "Improved Variational Inference with Inverse Autoregressive Flow", equation 15, with
    each dimension a group of its own).
    """
    return divergences.mean(0).clamp(min=minimum).sum()


def standard_normal_log_density(latents: Tensor) -> Tensor:
    """log N(z; 0, I) [n] of latents [n, …]."""
    size = math.prod(latents.shape[1:])
    return -0.5 * (latents.square().flatten(1).sum(1) + size * _LOG_2PI)


def path_log_posterior(latents: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log q(z|x) [n] with gradients through z alone, and none through mean and logvar directly.

    The direct part, the score, is zero in expectation and only adds variance. Left out of the ELBO
    it gives the estimator of Roeder et al. 2017, "Sticking the Landing", whose variance vanishes
    where q(z|x) is the true posterior; left out of the importance-weighted bound, the one that
    `doubly_reparameterized` completes. All arguments [n, …], of one shape.
    """
    mean, logvar = mean.detach(), logvar.detach()
    squares = (latents - mean).square() * (-logvar).exp()
    return -0.5 * (squares + logvar + _LOG_2PI).flatten(1).sum(1)


def doubly_reparameterized(latents: Tensor, log_weights: Tensor) -> Tensor:
    """A value [n] with the doubly reparameterised gradient of the importance-weighted bound.

    log_weights [n, K] must come from `path_log_posterior` and from latents [n · K, …], in that
    order, and the latents must need gradients. With w̃ the weights divided by their sum, the
    decoder's gradient is Σ w̃ ∂log w/∂θ, and the encoder's Σ w̃² ∂log w/∂z ∂z/∂φ (Tucker et al.
    2019, "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives", equation 8).
    The second w̃ is multiplied in by a hook where the gradient leaves the latents. The value
    itself is no bound: see `importance_weighted_bound`.
    """
    weights = log_weights.detach().softmax(1)
    shape = (-1, *(1,) * (latents.ndim - 1))
    latents.register_hook(  # type: ignore[no-untyped-call]
        lambda gradient: gradient * weights.reshape(shape)
    )
    return (weights * log_weights).sum(1)


def log_importance_weight(
    log_likelihood: Tensor,
    latents: Tensor,
    noise: Tensor,
    logvar: Tensor,
    log_prior: Tensor | None = None,
) -> Tensor:
    """log w = log p(x|z) + log p(z) − log q(z|x), [n], for z = mean + exp(logvar/2)·ε.

    log q(z|x) is taken from ε, which is exact where (z − mean)/σ would cancel. `log_prior` [n] is
    log p(z); None: that of N(0, I).
    """
    if log_prior is None:
        difference = noise.square() + logvar - latents.square()
        return log_likelihood + 0.5 * difference.flatten(1).sum(1)
    negative_log_posterior = 0.5 * (noise.square() + logvar + _LOG_2PI).flatten(1).sum(1)
    return log_likelihood + log_prior + negative_log_posterior


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log of the mean over K of w, from log w [n, K]: [n] (Burda et al. 2016, equation 8).

    At K = 1 the ELBO, in expectation; it rises with K towards log p(x). The logsumexp subtracts
    the largest weight first, so it neither overflows nor vanishes.
    """
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])
