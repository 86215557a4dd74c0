"""model/elbo.py: the bound and its parts, against torch.distributions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence

from model import elbo

seeds = st.integers(0, 2**31)


def draw(seed: int, *shape: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def log_density(distribution: Distribution, value: Tensor) -> Tensor:
    density: Tensor = distribution.log_prob(value)
    return density


@given(seed=seeds, spread=st.floats(0.01, 5))
def test_kl_is_the_closed_form(seed: int, spread: float) -> None:
    """The KL divergence is the one that torch.distributions computes, for every picture."""
    mean, logvar = draw(seed, 3, 5, spread=spread), draw(seed + 1, 3, 5, spread=spread)
    posterior = Normal(mean, (logvar / 2).exp())
    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))

    expected = kl_divergence(posterior, prior).sum(1)

    torch.testing.assert_close(elbo.kl(mean, logvar), expected, rtol=1e-4, atol=1e-5)


def test_kl_of_the_prior_is_zero() -> None:
    """The prior itself costs nothing, and the KL is accurate next to it."""
    assert elbo.kl(torch.zeros(2, 4), torch.zeros(2, 4)).tolist() == [0, 0]
    near = elbo.kl(torch.zeros(1, 1), torch.full((1, 1), 1e-3))
    assert near.item() == pytest.approx(0.25e-6, rel=1e-2)


@given(seed=seeds)
def test_bernoulli_log_likelihood(seed: int) -> None:
    """Σ log p over a picture's values is the one that torch.distributions computes."""
    logits = draw(seed, 4, 1, 3, 3, spread=4)
    targets = (draw(seed + 1, 4, 1, 3, 3) > 0).float()

    expected = log_density(Independent(Bernoulli(logits=logits), 3), targets)

    torch.testing.assert_close(elbo.bernoulli_log_likelihood(targets, logits), expected)


def test_bernoulli_log_likelihood_of_large_logits() -> None:
    """Logits whose sigmoid is exactly 0 or 1 still give the finite, exact likelihood."""
    logits = torch.tensor([[200.0], [200.0], [-200.0]])
    targets = torch.tensor([[1.0], [0.0], [0.0]])

    assert elbo.bernoulli_log_likelihood(targets, logits).tolist() == [0, -200, 0]


@given(seed=seeds, scale=st.floats(1 / 255, 3))
def test_gaussian_log_likelihood(seed: int, scale: float) -> None:
    """Σ log N over a picture's values is the one that torch.distributions computes."""
    mean, targets = draw(seed, 4, 3, 2, 2), draw(seed + 1, 4, 3, 2, 2)

    expected = log_density(Independent(Normal(mean, scale), 3), targets)

    measured = elbo.gaussian_log_likelihood(targets, mean, scale)
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 0.5), (1 / math.sqrt(2), 1.0)])
def test_gaussian_scales_of_the_textbooks(scale: float, factor: float) -> None:
    """Scale 1 is half the summed squared error, and 1/√2 the unhalved one, up to a constant."""
    mean, targets = draw(1, 2, 1, 4, 4), draw(2, 2, 1, 4, 4)
    squared_error = (targets - mean).square().flatten(1).sum(1)
    constant = 16 * (math.log(scale) + 0.5 * math.log(2 * math.pi))

    measured = elbo.gaussian_log_likelihood(targets, mean, scale)

    torch.testing.assert_close(measured, -factor * squared_error - constant)


def test_a_learned_scale_gets_its_gradient() -> None:
    """The scale at which the likelihood is highest is the root mean squared error."""
    mean, targets = torch.zeros(1, 1, 10, 10), draw(3, 1, 1, 10, 10)
    best = targets.square().mean().sqrt().requires_grad_()

    density = elbo.gaussian_log_likelihood(targets, mean, best).sum()
    (gradient,) = torch.autograd.grad(density, best)

    assert gradient.item() == pytest.approx(0, abs=1e-3)


def test_reparameterize_lets_gradients_through() -> None:
    """z has the posterior's moments, and gradients reach both of its parameters."""
    mean = torch.full((1, 1), 3.0, requires_grad=True)
    logvar = torch.full((1, 1), math.log(4.0), requires_grad=True)
    noise = draw(0, 100_000, 1)

    latents = elbo.reparameterize(mean, logvar, noise)
    by_mean, by_logvar = torch.autograd.grad(latents.mean(), (mean, logvar))

    assert latents.mean().item() == pytest.approx(3, abs=0.03)
    assert latents.std().item() == pytest.approx(2, abs=0.03)
    assert by_mean.item() == pytest.approx(1)
    assert by_logvar.item() == pytest.approx(noise.mean().item(), abs=1e-6)


def test_elbo_weighs_the_kl() -> None:
    """The bound is likelihood minus KL; β weighs the KL."""
    likelihood, divergence = torch.tensor([-10.0, -20.0]), torch.tensor([1.0, 4.0])

    assert elbo.elbo(likelihood, divergence).tolist() == [-11, -24]
    assert elbo.elbo(likelihood, divergence, beta=0.5).tolist() == [-10.5, -22]


@given(seed=seeds)
def test_importance_weight_is_the_ratio_of_densities(seed: int) -> None:
    """log w is log p(x|z) + log p(z) − log q(z|x) of torch.distributions."""
    mean, logvar, noise = (draw(seed + i, 6, 4) for i in range(3))
    likelihood = draw(seed + 3, 6)
    latents = elbo.reparameterize(mean, logvar, noise)
    prior = Independent(Normal(torch.zeros(6, 4), torch.ones(6, 4)), 1)
    posterior = Independent(Normal(mean, (logvar / 2).exp()), 1)

    expected = likelihood + log_density(prior, latents) - log_density(posterior, latents)

    measured = elbo.log_importance_weight(likelihood, latents, noise, logvar)
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-4)


def test_the_bound_is_exact_where_the_posterior_is() -> None:
    """With the true posterior every importance weight is log p(x), so K does not matter.

    x ~ N(z, 1) and z ~ N(0, 1) give z|x ~ N(x/2, 1/2) and x ~ N(0, 2).
    """
    observed = torch.full((1, 1), 1.3)
    noise = draw(5, 50, 1)
    logvar = torch.full((1, 1), math.log(0.5))
    latents = elbo.reparameterize(observed / 2, logvar, noise)
    likelihood = elbo.gaussian_log_likelihood(observed.expand(50, 1), latents, 1.0)

    weights = elbo.log_importance_weight(likelihood, latents, noise, logvar)

    expected = log_density(Normal(0.0, math.sqrt(2)), observed).item()
    torch.testing.assert_close(weights, torch.full((50,), expected), rtol=1e-5, atol=1e-5)
    assert elbo.importance_weighted_bound(weights[None]).item() == pytest.approx(expected, rel=1e-5)


@given(seed=seeds, shift=st.floats(-1e4, 1e4))
def test_the_importance_weighted_bound_is_stable(seed: int, shift: float) -> None:
    """Weights far beyond float32's exponentials give log mean w, shifted as they are."""
    weights = draw(seed, 3, 20).double()

    expected = weights.exp().mean(1).log() + shift

    torch.testing.assert_close(elbo.importance_weighted_bound(weights + shift), expected)


def test_more_samples_raise_the_bound() -> None:
    """At K = 1 the bound is the ELBO's estimate; its mean rises with K."""
    weights = draw(8, 20_000, 16, spread=2)

    one = elbo.importance_weighted_bound(weights[:, :1])
    many = elbo.importance_weighted_bound(weights)

    torch.testing.assert_close(one, weights[:, 0])
    assert one.mean() < many.mean() < 2.0  # E log w = 0 < E bound < log E w = 2
