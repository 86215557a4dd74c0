"""The figures of an epoch are means over its images."""

from __future__ import annotations

import pytest
import torch

from model.networks import elbo
from training.fit.running_sums import RunningSums

DEVICE = torch.device("cpu")


def test_figures_are_means_over_all_images() -> None:
    """Minibatches of different sizes weigh by their images."""
    likelihood, mean, logvar = torch.randn(9), torch.randn(9, 3), torch.randn(9, 3)
    totals = RunningSums(3, DEVICE)
    for part in (slice(0, 7), slice(7, 9)):
        divergences = elbo.kl_per_dimension(mean[part], logvar[part])
        totals.add(likelihood[part], divergences, mean[part])

    metrics = totals.metrics()

    kl = elbo.kl(mean, logvar).mean().item()
    assert metrics.kl == pytest.approx(kl, rel=1e-5)
    assert metrics.kl_per_dimension == pytest.approx(
        elbo.kl_per_dimension(mean, logvar).mean(0).tolist(), rel=1e-5
    )
    assert metrics.log_likelihood == pytest.approx(likelihood.mean().item(), rel=1e-5)
    assert metrics.elbo == pytest.approx(likelihood.mean().item() - kl, rel=1e-5)


def test_maps_count_value_by_value() -> None:
    """The figures of latent maps are those of the same values as vectors."""
    likelihood, mean, logvar = torch.randn(9), torch.randn(9, 2, 3, 2), torch.randn(9, 2, 3, 2)
    maps, vectors = RunningSums(12, DEVICE), RunningSums(12, DEVICE)
    divergences = elbo.kl_per_dimension(mean, logvar)
    maps.add(likelihood, divergences, mean)
    vectors.add(likelihood, divergences.flatten(1), mean.flatten(1))

    assert maps.metrics() == vectors.metrics()


def test_active_units_are_dimensions_that_vary() -> None:
    """A dimension counts as active if its posterior mean's variance exceeds 0.01."""
    mean = torch.zeros(1000, 3)
    mean[:, 0] = torch.linspace(-1, 1, 1000)
    mean[:, 1] = 5.0
    mean[:, 2] = 0.05 * torch.linspace(-1, 1, 1000)
    totals = RunningSums(3, DEVICE)
    totals.add(torch.zeros(1000), torch.zeros(1000, 3), mean)

    assert totals.metrics().active_units == 1


def test_a_map_counts_value_by_value() -> None:
    """Latents that are maps have a KL and a variance for each of their values, in their order."""
    mean, logvar = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4)
    map_, vector = RunningSums(24, DEVICE), RunningSums(24, DEVICE)
    divergences = elbo.kl_per_dimension(mean, logvar)
    map_.add(torch.zeros(5), divergences, mean)
    vector.add(torch.zeros(5), divergences.flatten(1), mean.flatten(1))

    assert map_.metrics() == vector.metrics()


def test_a_divergence_that_comes_whole_is_not_told_by_dimension() -> None:
    """Under a mixture there is one KL an image: it counts, and no dimension has a part of it."""
    likelihood, divergences, mean = torch.randn(9), torch.randn(9, 1), torch.randn(9, 3)
    totals = RunningSums(3, DEVICE, divided=False)
    totals.add(likelihood, divergences, mean)

    metrics = totals.metrics()

    assert metrics.kl == pytest.approx(divergences.mean().item(), abs=1e-6)
    assert metrics.elbo == pytest.approx((likelihood - divergences[:, 0]).mean().item(), abs=1e-6)
    assert metrics.kl_per_dimension == ()
    assert metrics.active_units == 3
    assert metrics.dimensions == 3


def test_totals_continue_from_their_state() -> None:
    """Sums that were saved and loaded go on as if nothing had happened."""
    likelihood, divergences, mean = torch.randn(4), torch.randn(4, 2), torch.randn(4, 2)
    straight, resumed = RunningSums(2, DEVICE), RunningSums(2, DEVICE)
    straight.add(likelihood, divergences, mean)
    resumed.load(straight.state())
    for totals in (straight, resumed):
        totals.add(likelihood * 2, divergences, mean)

    assert resumed.metrics() == straight.metrics()


def test_reset_forgets() -> None:
    """After a reset only what follows counts."""
    totals = RunningSums(1, DEVICE)
    totals.add(torch.tensor([100.0]), torch.zeros(1, 1), torch.zeros(1, 1))
    totals.reset()
    totals.add(torch.tensor([1.0]), torch.zeros(1, 1), torch.zeros(1, 1))

    assert totals.metrics().log_likelihood == 1.0
