"""The learned prior in torch, against its twin in NumPy and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from model.likelihood import bounds
from model.networks import elbo
from model.prior.learned import MixturePrior, mixture_log_density
from tests.model import densities
from tests.model.densities import draw, log_density

seeds = st.integers(0, 2**31)


def prior(components: int, size: int, seed: int = 0, spread: float = 1.0) -> MixturePrior:
    """With parameters away from where training starts."""
    made = MixturePrior(components, size)
    for number, parameter in enumerate(made.parameters()):
        parameter.data = draw(seed + number, *parameter.shape, spread=spread)
    return made


def test_a_density_by_hand() -> None:
    """¼ N(−1, 1) + ¾ N(2, ½²) at 0, worked out term by term."""
    density = mixture_log_density(
        torch.zeros(1, 1),
        torch.tensor([0.25, 0.75]).log(),
        torch.tensor([[-1.0], [2.0]]),
        torch.tensor([[0.0], [math.log(0.25)]]),
    )

    expected = (0.25 * math.exp(-0.5) + 0.75 / 0.5 * math.exp(-8)) / math.sqrt(2 * math.pi)
    assert density.item() == pytest.approx(math.log(expected), rel=1e-6)


@given(seed=seeds, components=st.integers(1, 5), spread=st.floats(0.1, 3))
def test_the_density_is_that_of_torch_and_of_what_is_served(
    seed: int, components: int, spread: float
) -> None:
    """torch.distributions and the exported mixture agree, on vectors and on maps."""
    made = prior(components, 6, seed, spread)
    latents = draw(seed + 9, 4, 6, spread=2 * spread)
    described = MixtureSameFamily(
        Categorical(logits=made.logits),
        Independent(Normal(made.means, (made.logvars / 2).exp()), 1),
    )

    density = made(latents.reshape(4, 3, 2, 1)).detach()

    expected = log_density(described, latents)
    torch.testing.assert_close(density, expected.detach(), rtol=1e-4, atol=1e-4)
    served = made.export().log_density(latents.numpy())
    np.testing.assert_allclose(served, density.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 32, 128])
@pytest.mark.parametrize("components", [8, 64])
def test_training_starts_near_the_standard_normal(components: int, size: int) -> None:
    """KL[N(0, I) ‖ prior] is under a nat before the first step, components are equally likely and
    no two of them are the same."""
    torch.manual_seed(0)
    made = MixturePrior(components, size)
    latents = draw(1, 20_000, size)

    divergence = (elbo.standard_normal_log_density(latents) - made(latents)).mean().item()

    assert -0.02 < divergence < 1
    assert made.export().weights == pytest.approx([1 / components] * components)
    assert len(torch.unique(made.means.detach(), dim=0)) == components


def test_the_kl_is_estimated_by_draws() -> None:
    """Averaged over draws, the estimate is the KL in closed form where the prior has one."""
    made = prior(1, 3, seed=4, spread=0.5)
    mean, logvar = draw(1, 1, 3), draw(2, 1, 3)
    latents = elbo.reparameterize(mean, logvar, draw(3, 100_000, 3))
    posterior = Normal(mean, (logvar / 2).exp())

    measured = elbo.kl_estimate(made(latents).mean()[None], logvar).item()

    single = Normal(made.means, (made.logvars / 2).exp())
    assert measured == pytest.approx(kl_divergence(posterior, single).sum().item(), rel=0.01)


def test_the_kl_has_the_gradient_of_one_draw() -> None:
    """log q(z|x) replaced by its expectation moves no gradient."""
    made, noise = prior(3, 4), draw(3, 5, 4)
    gradients = []
    for exact in (True, False):
        mean, logvar = draw(1, 5, 4).requires_grad_(), draw(2, 5, 4).requires_grad_()
        latents = elbo.reparameterize(mean, logvar, noise)
        posterior = Independent(Normal(mean, (logvar / 2).exp()), 1)
        one_draw = log_density(posterior, latents) - made(latents)
        estimate = elbo.kl_estimate(made(latents), logvar) if exact else one_draw
        inputs = (mean, logvar, *made.parameters())
        gradients.append(torch.autograd.grad(estimate.sum(), inputs))

    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def toy(observed: Tensor, latents: Tensor) -> Tensor:
    """log p(x|z) of x ~ N(z, 1)."""
    return densities.gaussian(observed.expand_as(latents), latents, 1.0)


def test_the_bound_is_exact_where_the_posterior_is() -> None:
    """z ~ N(2, ½²), x ~ N(z, 1): the posterior is N(8/5 + x/5, 1/5), every weight p(x), and so is
    the ELBO on average, in torch and in NumPy."""
    made = MixturePrior(1, 1)
    made.means.data.fill_(2.0)
    made.logvars.data.fill_(math.log(0.25))
    observed, noise = torch.full((1, 1), 1.3), draw(5, 50, 1)
    logvar = torch.full((1, 1), math.log(0.2))
    latents = elbo.reparameterize(1.6 + observed / 5, logvar, noise)
    log_prior = made(latents).detach()
    evidence = log_density(Normal(2.0, math.sqrt(1.25)), observed).item()

    weights = elbo.log_importance_weight(toy(observed, latents), latents, noise, logvar, log_prior)
    served = bounds.log_importance_weight(
        toy(observed, latents).double().numpy(),
        latents.numpy(),
        noise.numpy(),
        logvar.numpy(),
        made.export().log_density(latents.numpy()),
    )

    assert weights.tolist() == pytest.approx([evidence] * 50, abs=1e-5)
    assert served == pytest.approx([evidence] * 50, abs=1e-5)
    many = elbo.reparameterize(1.6 + observed / 5, logvar, draw(6, 100_000, 1))
    kl = elbo.kl_estimate(made(many).mean()[None], logvar)
    assert (toy(observed, many).mean() - kl).item() == pytest.approx(evidence, abs=0.01)


def test_the_evidence_of_two_components_is_found_from_below() -> None:
    """x ~ N(z, 1) under ½N(−2, ½²) + ½N(2, ½²): the ELBO lies below log p(x), by the KL between
    posteriors, and the importance-weighted bound reaches it."""
    made = MixturePrior(2, 1)
    made.means.data = torch.tensor([[-2.0], [2.0]])
    made.logvars.data.fill_(math.log(0.25))
    observed, noise = torch.full((1, 1), 0.2), draw(7, 50_000, 1)
    logvar = torch.zeros(1, 1)
    latents = elbo.reparameterize(observed, logvar, noise)
    log_prior = made(latents).detach()
    halves = [log_density(Normal(mean, math.sqrt(1.25)), observed) for mean in (-2.0, 2.0)]
    evidence = torch.stack(halves).logsumexp(0).item() - math.log(2)

    weights = elbo.log_importance_weight(toy(observed, latents), latents, noise, logvar, log_prior)
    bound = elbo.importance_weighted_bound(weights[None]).item()

    assert weights.mean().item() < evidence - 0.1
    assert bound == pytest.approx(evidence, abs=0.02)


def test_torch_draws_have_the_mixtures_moments() -> None:
    """Noise that is placed lies where the exported mixture says."""
    made, rng = prior(3, 2), torch.Generator().manual_seed(0)
    served = made.export()

    placed = made.place(torch.randn(50_000, 2, generator=rng), rng).detach().numpy()

    mean = served.weights @ served.means
    second = served.weights @ (np.square(served.means) + np.square(served.scales))
    np.testing.assert_allclose(placed.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.square(placed).mean(axis=0), second, rtol=0.05)
