"""The evidence lower bound and its parts, as pure functions of tensors.

Every figure is in nats and a sum over the values of an image or latent, one for each image:
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

from model.config import LEVELS, Family

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


def bernoulli_log_likelihood(targets: Tensor, logits: Tensor) -> Tensor:
    """log p(x|z) [n] of binary targets [n, …] under logits of the same shape.

    Computed on logits: a float32 sigmoid is exactly 0 or 1 long before the logits end.
    """
    terms = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return -terms.flatten(1).sum(1)


def gaussian_log_likelihood(targets: Tensor, mean: Tensor, scale: Tensor | float) -> Tensor:
    """log N(x; mean, scale² I) [n] of targets [n, …]; `scale` is one standard deviation.

    The density of all values together, so it may exceed 0.
    """
    sigma = torch.as_tensor(scale, dtype=mean.dtype, device=mean.device)
    size = math.prod(targets.shape[1:])
    squares = ((targets - mean) / sigma).square().flatten(1).sum(1)
    return -0.5 * squares - size * (sigma.log() + 0.5 * _LOG_2PI)


def optimal_scale(targets: Tensor, mean: Tensor, floor: float) -> Tensor:
    """The scale, at least `floor`, under which targets [n, …] are likeliest: their root mean
    squared error, one value for all of them (Rybkin et al. 2021).

    Gradients flow through it. With it the Gaussian log-likelihood is on average over the n
    −D (log σ* + ½ + ½ log 2π): what is minimised is the logarithm of the error.
    """
    return (targets - mean).square().mean().clamp(min=floor**2).sqrt()


def logistic_log_likelihood(
    targets: Tensor, mean: Tensor, scale: Tensor, levels: int = LEVELS
) -> Tensor:
    """log p(x|z) [n] of targets [n, c, h, w] of `levels` grey levels, 0, 1/(levels − 1) … 1,
    under a discretised logistic of mean [n, c, h, w] and scale [c], all on pixels in [0, 1].

    p(x) = S(b) − S(a), S the sigmoid and a and b the ends of the grey level's bin, (x ∓ half a
    level − mean)/scale; the lowest level's bin has no lower end, the highest's no upper one
    (Kingma et al. 2016, appendix; Salimans et al. 2017, equation 2). A difference of sigmoids is 0
    in float32 long before its logarithm ends, so this is

        log(S(b) − S(a)) = log S(b) + log S(−a) + log(1 − exp(a − b)),

    which is exact, and whose terms are finite with finite gradients however far x is from the
    mean. Computed in grey levels, where bins that touch have one end with the same bits, and the
    probabilities sum to 1.
    """
    last = levels - 1
    level, width = (targets * last).round(), (scale * last).reshape(-1, 1, 1)
    middle = mean * last
    lower, upper = (level - 0.5 - middle) / width, (level + 0.5 - middle) / width
    below = torch.where(level < last, functional.logsigmoid(upper), 0)
    above = torch.where(level > 0, functional.logsigmoid(-lower), 0)
    inside = torch.where((level > 0) & (level < last), (-(-1 / width).expm1()).log(), 0)
    return (below + above + inside).flatten(1).sum(1)


def log_likelihood(family: Family, scale: Tensor | None, targets: Tensor, params: Tensor) -> Tensor:
    """log p(x|z) [n] under the decoder's `params`; `scale` is one value of a Gaussian, [c] of a
    logistic, and None of a Bernoulli.

    Raises:
        ValueError: a likelihood other than a Bernoulli without a scale.
    """
    if family == "bernoulli":
        return bernoulli_log_likelihood(targets, params)
    if scale is None:
        msg = f"a {family} likelihood needs its scale"
        raise ValueError(msg)
    if family == "gaussian":
        return gaussian_log_likelihood(targets, params, scale)
    return logistic_log_likelihood(targets, params, scale)


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
