"""The loss of a minibatch under each setting."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.config import (
    BernoulliConfig,
    MixturePriorConfig,
    MlpConfig,
    ModelConfig,
    NormalPriorConfig,
    PriorConfig,
)
from model.networks import elbo
from model.networks.vae import VAE
from tests.model import densities
from training.config.sections import ObjectiveConfig
from training.fit import objective


def vae(prior: PriorConfig | None = None) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(
            ModelConfig(
                latent_dim=3,
                network=MlpConfig(hidden=(8,)),
                likelihood=BernoulliConfig(),
                prior=prior or NormalPriorConfig(),
            )
        )


def minibatch(samples: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    images = (torch.rand(4, 1, 28, 28, generator=rng) < 0.3).float()
    return images, torch.randn(4, samples, 3, generator=rng)


def loss_and_gradients(
    config: ObjectiveConfig, samples: int = 1, beta: float = 1.0
) -> tuple[objective.Terms, list[Tensor]]:
    model = vae()
    images, noise = minibatch(samples)
    terms = objective.evaluate(config, model, images, model(images, noise), beta)
    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    return terms, list(torch.autograd.grad(terms.loss, parameters))


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_elbo(beta: float) -> None:
    """By default the loss is −(log p(x|z) − β KL), averaged over the images."""
    model = vae()
    images, noise = minibatch(1)
    passed = model(images, noise)

    terms = objective.evaluate(ObjectiveConfig(), model, images, passed, beta)

    log_likelihood = densities.bernoulli(images, passed.params)
    divergence = elbo.kl(passed.mean, passed.logvar)
    torch.testing.assert_close(terms.loss, (beta * divergence - log_likelihood).mean())
    torch.testing.assert_close(terms.log_likelihood, log_likelihood)


def test_draws_are_averaged_until_beta_has_risen() -> None:
    """During the KL's warm-up weights would bound nothing: K draws make a less noisy ELBO."""
    model = vae()
    images, noise = minibatch(5)
    config = ObjectiveConfig(samples=5)

    terms = objective.evaluate(config, model, images, model(images, noise), 0.5)

    alone = [
        objective.evaluate(config, model, images, model(images, noise[:, k : k + 1]), 0.5)
        for k in range(5)
    ]
    torch.testing.assert_close(terms.loss, torch.stack([one.loss for one in alone]).mean())


def test_one_draw_makes_the_path_gradient() -> None:
    """The doubly reparameterised gradient at K = 1 is the path gradient of the ELBO, and the
    decoder's part of it is the ELBO's own."""
    model = vae()
    images, noise = minibatch(1)
    _, path = loss_and_gradients(ObjectiveConfig(gradient="path"))
    _, total = loss_and_gradients(ObjectiveConfig())
    passed = model(images, noise)
    log_posterior = elbo.path_log_posterior(passed.latents, passed.mean, passed.logvar)
    weights = (
        model.log_likelihood(images, passed.params)
        + elbo.standard_normal_log_density(passed.latents)
        - log_posterior
    )
    bound = elbo.doubly_reparameterized(passed.latents, weights[:, None])
    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    expected = torch.autograd.grad(-bound.mean(), parameters)

    for ours, theirs in zip(path, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    encoder = len(list(model.encoder.parameters()))
    for ours, theirs in zip(path[encoder:], total[encoder:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(path[0], total[0])


def test_importance_weights_weigh_the_decoders_gradient() -> None:
    """With K draws at β = 1 the decoder's gradient is that of the importance-weighted bound."""
    model = vae()
    images, noise = minibatch(6)
    _, ours = loss_and_gradients(ObjectiveConfig(samples=6), samples=6)
    passed = model(images, noise)
    log_likelihood = model.log_likelihood(images.repeat_interleave(6, 0), passed.params)
    weights = elbo.log_importance_weight(
        log_likelihood,
        passed.latents,
        noise.flatten(0, 1),
        passed.logvar.repeat_interleave(6, 0),
    ).reshape(-1, 6)
    bound = elbo.importance_weighted_bound(weights).mean()

    expected = torch.autograd.grad(-bound, list(model.decoder.parameters()))

    encoder = len(list(model.encoder.parameters()))
    for mine, theirs in zip(ours[encoder:], expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_free_bits_make_the_kl_cost_at_least_their_sum() -> None:
    """λ far above every dimension's KL: the KL costs λ · d, and the encoder feels no pull."""
    terms, _ = loss_and_gradients(ObjectiveConfig(free_bits=7.0))

    torch.testing.assert_close(terms.loss, 3 * 7.0 - terms.log_likelihood.mean())


@pytest.mark.parametrize(
    ("config", "samples"),
    [
        (ObjectiveConfig(), 1),
        (ObjectiveConfig(gradient="path"), 1),
        (ObjectiveConfig(samples=4), 4),
    ],
)
def test_every_objective_takes_the_learned_prior(config: ObjectiveConfig, samples: int) -> None:
    """With N(0, I) as the mixture's only component, the networks' gradients are those under
    N(0, I) with its KL taken from the draws, and the mixture's parameters get theirs."""
    model = vae(MixturePriorConfig(family="mixture", components=1))
    assert model.prior is not None
    model.prior.means.data.zero_()
    model.prior.logvars.data.zero_()
    images, noise = minibatch(samples)
    passed = model(images, noise)

    terms = objective.evaluate(config, model, images, passed, 1.0)

    log_prior = elbo.standard_normal_log_density(passed.latents)
    told = elbo.kl_estimate(log_prior.reshape(-1, samples).mean(1), passed.logvar)
    torch.testing.assert_close(terms.divergences, told.detach()[:, None])
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    ours = torch.autograd.grad(terms.loss, networks, retain_graph=True)
    if config == ObjectiveConfig():
        log_likelihood = model.log_likelihood(images, passed.params)
        theirs = list(torch.autograd.grad((told - log_likelihood).mean(), networks))
    else:
        _, theirs = loss_and_gradients(config, samples)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for moved in torch.autograd.grad(terms.loss, [model.prior.means, model.prior.logvars]):
        assert moved.abs().max() > 0


def test_the_divergence_is_told_beside_the_loss() -> None:
    """What is reported is the KL itself, whatever free bits make of it in the loss."""
    model = vae()
    images, noise = minibatch(1)
    passed = model(images, noise)

    terms = objective.evaluate(ObjectiveConfig(free_bits=7.0), model, images, passed, 1.0)

    divergences = elbo.kl_per_dimension(passed.mean, passed.logvar).detach()
    torch.testing.assert_close(terms.divergences, divergences)
    assert not terms.divergences.requires_grad
