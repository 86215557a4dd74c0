"""The bound and its parts, against torch.distributions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from model.config import LEVELS, LOGISTIC_SCALE_FLOOR
from model.networks import elbo
from tests.model import densities
from tests.model.densities import draw, log_density

seeds = st.integers(0, 2**31)


@given(seed=seeds, spread=st.floats(0.01, 5))
def test_kl_is_the_closed_form(seed: int, spread: float) -> None:
    """The KL divergence is the one that torch.distributions computes, for every image."""
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
    """Σ log p over an image's values is the one that torch.distributions computes."""
    logits = draw(seed, 4, 1, 3, 3, spread=4)
    targets = (draw(seed + 1, 4, 1, 3, 3) > 0).float()

    expected = log_density(Independent(Bernoulli(logits=logits), 3), targets)

    torch.testing.assert_close(densities.bernoulli(targets, logits), expected)


def test_bernoulli_log_likelihood_of_large_logits() -> None:
    """Logits whose sigmoid is exactly 0 or 1 still give the finite, exact likelihood."""
    logits = torch.tensor([[200.0], [200.0], [-200.0]])
    targets = torch.tensor([[1.0], [0.0], [0.0]])

    assert densities.bernoulli(targets, logits).tolist() == [0, -200, 0]


@given(seed=seeds, scale=st.floats(1 / 255, 3))
def test_gaussian_log_likelihood(seed: int, scale: float) -> None:
    """Σ log N over an image's values is the one that torch.distributions computes."""
    mean, targets = draw(seed, 4, 3, 2, 2), draw(seed + 1, 4, 3, 2, 2)

    expected = log_density(Independent(Normal(mean, scale), 3), targets)

    measured = densities.gaussian(targets, mean, scale)
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 0.5), (1 / math.sqrt(2), 1.0)])
def test_gaussian_scales_of_the_textbooks(scale: float, factor: float) -> None:
    """Scale 1 is half the summed squared error, and 1/√2 the unhalved one, up to a constant."""
    mean, targets = draw(1, 2, 1, 4, 4), draw(2, 2, 1, 4, 4)
    squared_error = (targets - mean).square().flatten(1).sum(1)
    constant = 16 * (math.log(scale) + 0.5 * math.log(2 * math.pi))

    measured = densities.gaussian(targets, mean, scale)

    torch.testing.assert_close(measured, -factor * squared_error - constant)


def test_a_learned_scale_gets_its_gradient() -> None:
    """The scale at which the likelihood is highest is the root mean squared error."""
    mean, targets = torch.zeros(1, 1, 10, 10), draw(3, 1, 1, 10, 10)
    best = targets.square().mean().sqrt().requires_grad_()

    density = densities.gaussian(targets, mean, best).sum()
    (gradient,) = torch.autograd.grad(density, best)

    assert gradient.item() == pytest.approx(0, abs=1e-3)


def test_the_optimal_scale_is_the_root_mean_squared_error() -> None:
    """Errors of 0.3 and 0.4 have the root mean square √0.125, and the likelihood its closed form:
    −D (log σ* + ½ + ½ log 2π) on average over the images."""
    targets = torch.tensor([[0.3, 0.4], [0.3, 0.4]]).reshape(2, 1, 1, 2)
    mean = torch.zeros(2, 1, 1, 2)

    scale = elbo.optimal_scale(targets, mean, 1 / 255)

    assert scale.item() == pytest.approx(math.sqrt(0.125))
    density = densities.gaussian(targets, mean, scale).mean().item()
    assert density == pytest.approx(-2 * (math.log(scale) + 0.5 + 0.5 * math.log(2 * math.pi)))


def test_the_optimal_scale_hands_on_the_gradient_of_the_log_error() -> None:
    """The loss is D log σ* and a constant, so its gradient by a mean is D σ*'/σ*."""
    targets, mean = draw(1, 3, 1, 2, 2), draw(2, 3, 1, 2, 2).requires_grad_()

    scale = elbo.optimal_scale(targets, mean, 1 / 255)
    loss = -densities.gaussian(targets, mean, scale).mean()
    (gradient,) = torch.autograd.grad(loss, mean)

    expected = (mean - targets) / (3 * scale.square())
    torch.testing.assert_close(gradient, expected.detach())


def test_the_optimal_scale_has_a_floor() -> None:
    """A perfect reconstruction has the floor as its scale, and a gradient without NaN."""
    targets = torch.full((2, 1, 2, 2), 0.5)
    mean = targets.clone().requires_grad_()

    scale = elbo.optimal_scale(targets, mean, 1 / 255)
    density = densities.gaussian(targets, mean, scale).sum()
    (gradient,) = torch.autograd.grad(density, mean)

    assert scale.item() == pytest.approx(1 / 255)
    assert gradient.abs().max().item() == 0


def levels_of(mean: float, scale: float) -> Tensor:
    """log p of each of the 256 levels of one pixel, float32 [256]."""
    level = torch.arange(LEVELS, dtype=torch.float32) / (LEVELS - 1)
    targets = level.reshape(-1, 1, 1, 1)
    means = torch.full_like(targets, mean)
    return densities.logistic(targets, means, torch.tensor([scale]))


@given(mean=st.floats(-3, 4), scale=st.floats(LOGISTIC_SCALE_FLOOR, 30))
def test_a_logistic_pixel_has_one_of_its_levels(mean: float, scale: float) -> None:
    """The probabilities of the 256 levels sum to 1 within 1e-5 in float32, whatever mean and
    scale."""
    assert levels_of(mean, scale).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_logistic_bins_by_hand() -> None:
    """Of three levels with mean ½ and the scale of half a level, the middle bin has
    S(1) − S(−1), and the open ones at the ends 1 − S(1) each."""
    targets = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)

    found = densities.logistic(
        targets, torch.full_like(targets, 0.5), torch.tensor([0.25]), levels=3
    )

    upper = 1 / (1 + math.exp(-1))
    assert found.exp().tolist() == pytest.approx([1 - upper, 2 * upper - 1, 1 - upper])


@given(seed=seeds, scale=st.floats(0.05, 1))
def test_logistic_log_likelihood(seed: int, scale: float) -> None:
    """Σ log p over an image is the difference of float64 sigmoids, each channel with its scale."""
    scales = torch.tensor([scale, 2 * scale, 0.5])
    level = torch.randint(0, LEVELS, (4, 3, 2, 2), generator=torch.Generator().manual_seed(seed))
    mean = 0.5 + draw(seed + 1, 4, 3, 2, 2, spread=0.1)
    targets = level / (LEVELS - 1)

    found = densities.logistic(targets, mean, scales)

    width = scales.double().reshape(3, 1, 1) * (LEVELS - 1)
    position = level - mean.double() * (LEVELS - 1)
    upper = torch.where(level == LEVELS - 1, 1.0, ((position + 0.5) / width).sigmoid())
    lower = torch.where(level == 0, 0.0, ((position - 0.5) / width).sigmoid())
    expected = (upper - lower).log().flatten(1).sum(1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("mean", [-1e4, -1.0, 0.0, 0.5, 1.0, 1e4])
@pytest.mark.parametrize("scale", [LOGISTIC_SCALE_FLOOR, 1.0, 1e6])
def test_logistic_tails_are_finite(mean: float, scale: float) -> None:
    """Levels that float32's sigmoid gives no probability still have a finite logarithm, and finite
    gradients by mean and scale."""
    level = torch.tensor([0.0, 1 / 255, 0.5019608, 254 / 255, 1.0]).reshape(-1, 1, 1, 1)
    means = torch.full_like(level, mean).requires_grad_()
    scales = torch.tensor([scale], requires_grad=True)

    found = densities.logistic(level, means, scales)
    gradients = torch.autograd.grad(found.sum(), (means, scales))

    assert torch.isfinite(found).all()
    assert (found <= 0).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_far_logistic_mean_is_drawn_at_full_strength() -> None:
    """Deep in a tail log p falls by 1/scale for each unit of the mean: the gradient does not
    vanish where the probability does."""
    targets, mean = torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1, 1), 50.0)
    scale = torch.tensor([0.01])
    mean.requires_grad_()

    found = densities.logistic(targets, mean, scale)
    (gradient,) = torch.autograd.grad(found.sum(), mean)

    assert gradient.item() == pytest.approx(-1 / 0.01)
    # log S(b) is 0 there and log S(−a) = −a; 0.4 is level 102.
    expected = (0.4 - 50) / 0.01 + 0.5 / 2.55 + math.log(-math.expm1(-1 / 2.55))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_likelihoods_are_chosen_by_family() -> None:
    """Each family's function is taken, and a scale that is missing is named."""
    targets, params = torch.ones(2, 1, 2, 2), draw(1, 2, 1, 2, 2)
    scale = torch.tensor([0.5])

    torch.testing.assert_close(
        elbo.log_likelihood("bernoulli", None, targets, params),
        densities.bernoulli(targets, params),
    )
    torch.testing.assert_close(
        elbo.log_likelihood("gaussian", scale, targets, params),
        densities.gaussian(targets, params, 0.5),
    )
    torch.testing.assert_close(
        elbo.log_likelihood("logistic", scale, targets, params),
        densities.logistic(targets, params, scale),
    )
    with pytest.raises(ValueError, match="a logistic likelihood needs its scale"):
        elbo.log_likelihood("logistic", None, targets, params)


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
    likelihood = densities.gaussian(observed.expand(50, 1), latents, 1.0)

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


@given(seed=seeds, minimum=st.floats(0, 2))
def test_free_bits_bound_each_dimension(seed: int, minimum: float) -> None:
    """Each dimension's batch mean counts as at least λ; with λ = 0 it is the KL itself."""
    mean, logvar = draw(seed, 6, 5), draw(seed + 1, 6, 5)
    divergences = elbo.kl_per_dimension(mean, logvar)

    floored = elbo.free_bits(divergences, minimum)

    expected = sum(max(minimum, float(column.mean())) for column in divergences.T)
    assert float(floored) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(elbo.free_bits(divergences, 0), elbo.kl(mean, logvar).mean())


def test_free_bits_leave_a_poor_dimension_alone() -> None:
    """A dimension below λ gets no gradient, one above it the whole."""
    mean = torch.tensor([[0.1, 2.0]], requires_grad=True)

    floored = elbo.free_bits(elbo.kl_per_dimension(mean, torch.zeros(1, 2)), 0.5)

    (gradient,) = torch.autograd.grad(floored, mean)
    assert gradient.tolist() == [[0.0, 2.0]]


@given(seed=seeds)
def test_densities_of_latents(seed: int) -> None:
    """log p(z) and log q(z|x) are those that torch.distributions computes, maps included."""
    mean, logvar, latents = (draw(seed + part, 3, 2, 2) for part in range(3))
    posterior = Independent(Normal(mean, (logvar / 2).exp()), 2)
    prior = Independent(Normal(torch.zeros(2, 2), torch.ones(2, 2)), 2)

    torch.testing.assert_close(
        elbo.path_log_posterior(latents, mean, logvar), log_density(posterior, latents)
    )
    torch.testing.assert_close(
        elbo.standard_normal_log_density(latents), log_density(prior, latents)
    )


# A toy whose every figure is known: p(z) = N(0, 1) and p(x|z) = N(x; z, 1) make
# p(x) = N(x; 0, 2) and p(z|x) = N(x/2, 1/2).
_X = 1.3


def _toy(samples: int, mean: Tensor, logvar: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Latents [20000 · K, 1] and log w [20000, K] of q = N(mean, exp(logvar)); the decoder adds
    `shift` to its mean."""
    noise = draw(5, 20_000, samples, 1)
    latents = elbo.reparameterize(mean, logvar, noise).flatten(0, 1)
    target = torch.full_like(latents, _X)
    weights = (
        densities.gaussian(target, latents + shift, 1.0)
        + elbo.standard_normal_log_density(latents)
        - elbo.path_log_posterior(latents, mean.expand_as(latents), logvar.expand_as(latents))
    )
    return latents, weights.reshape(-1, samples)


def _variables(mean: float, variance: float) -> tuple[Tensor, Tensor, Tensor]:
    values = (mean, math.log(variance), 0.0)
    first, second, third = (torch.tensor([value], requires_grad=True) for value in values)
    return first, second, third


def _gradients(value: Tensor, variables: tuple[Tensor, ...]) -> list[float]:
    return [float(gradient) for gradient in torch.autograd.grad(value, variables)]


def test_the_true_posterior_gives_the_likelihood_and_no_gradient() -> None:
    """With q the true posterior every weight is p(x), and each draw's path gradient is zero: that
    is the landing which "Sticking the Landing" sticks."""
    mean, logvar, shift = _variables(_X / 2, 0.5)
    _, weights = _toy(1, mean, logvar, shift)

    log_likelihood = Normal(0, math.sqrt(2)).log_prob(torch.tensor(_X))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(weights, log_likelihood.expand_as(weights))
    gradients = torch.autograd.grad(weights[0].sum(), (mean, logvar))
    torch.testing.assert_close(gradients, (torch.zeros(1), torch.zeros(1)), rtol=0, atol=1e-6)


def test_the_path_gradient_is_the_elbos() -> None:
    """Leaving out the score changes no expectation: the gradients are the closed form's."""
    mean, logvar, shift = variables = _variables(0.2, 0.8)
    _, weights = _toy(1, mean, logvar, shift)

    # ELBO = −((x − shift − mean)² + σ²)/2 − (mean² + σ² − log σ²)/2 + constant.
    expected = [(_X - 0.2) - 0.2, 0.5 - 0.8, _X - 0.2]
    assert _gradients(weights.mean(), variables) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("samples", [1, 2, 8])
def test_the_doubly_reparameterised_gradient_is_the_bounds(samples: int) -> None:
    """In expectation it is the importance-weighted bound's gradient, for encoder and decoder."""
    mean, logvar, shift = variables = _variables(0.2, 0.8)
    latents, weights = _toy(samples, mean, logvar, shift)
    ours = _gradients(elbo.doubly_reparameterized(latents, weights).mean(), variables)

    noise = draw(6, 200_000, samples, 1)
    latents = elbo.reparameterize(mean, logvar, noise)
    log_likelihood = Normal(latents + shift, 1).log_prob(torch.tensor(_X))  # type: ignore[no-untyped-call]
    log_weights = elbo.log_importance_weight(
        log_likelihood.flatten(), latents.flatten(0, 1), noise.flatten(0, 1), logvar
    )
    bound = elbo.importance_weighted_bound(log_weights.reshape(-1, samples)).mean()
    assert ours == pytest.approx(_gradients(bound, variables), abs=0.02)


def test_the_doubly_reparameterised_gradient_varies_less() -> None:
    """That is what it is for: the encoder's gradient of a minibatch scatters less."""

    def spread(doubly: bool) -> float:
        found = []
        for seed in range(200):
            mean, logvar, shift = _variables(0.2, 0.8)
            noise = draw(seed, 1, 8, 1)
            latents = elbo.reparameterize(mean, logvar, noise).flatten(0, 1)
            log_likelihood = densities.gaussian(torch.full_like(latents, _X), latents + shift, 1.0)
            if doubly:
                ratio = elbo.standard_normal_log_density(latents) - elbo.path_log_posterior(
                    latents, mean.expand_as(latents), logvar.expand_as(latents)
                )
                weights = (log_likelihood + ratio).reshape(1, 8)
                value = elbo.doubly_reparameterized(latents, weights)
            else:
                weights = elbo.log_importance_weight(
                    log_likelihood, latents, noise.flatten(0, 1), logvar
                )
                value = elbo.importance_weighted_bound(weights.reshape(1, 8))
            found.append(_gradients(value.sum(), (mean,))[0])
        return float(torch.tensor(found).std())

    assert spread(doubly=True) < 0.7 * spread(doubly=False)
