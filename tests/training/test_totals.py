"""training/totals.py: the figures of an epoch are means over its pictures."""

from __future__ import annotations

import pytest
import torch

from model import elbo
from training.totals import Totals

DEVICE = torch.device("cpu")


def test_figures_are_means_over_all_pictures() -> None:
    """Minibatches of different sizes weigh by their pictures."""
    likelihood, mean, logvar = torch.randn(9), torch.randn(9, 3), torch.randn(9, 3)
    totals = Totals(3, DEVICE)
    for part in (slice(0, 7), slice(7, 9)):
        totals.add(likelihood[part], mean[part], logvar[part])

    figures = totals.figures()

    kl = elbo.kl(mean, logvar).mean().item()
    assert figures.kl == pytest.approx(kl, rel=1e-5)
    assert figures.kl_per_dimension == pytest.approx(
        elbo.kl_per_dimension(mean, logvar).mean(0).tolist(), rel=1e-5
    )
    assert figures.log_likelihood == pytest.approx(likelihood.mean().item(), rel=1e-5)
    assert figures.elbo == pytest.approx(likelihood.mean().item() - kl, rel=1e-5)


def test_maps_count_value_by_value() -> None:
    """The figures of latent maps are those of the same values as vectors."""
    likelihood, mean, logvar = torch.randn(9), torch.randn(9, 2, 3, 2), torch.randn(9, 2, 3, 2)
    maps, vectors = Totals(12, DEVICE), Totals(12, DEVICE)
    maps.add(likelihood, mean, logvar)
    vectors.add(likelihood, mean.flatten(1), logvar.flatten(1))

    assert maps.figures() == vectors.figures()


def test_active_units_are_dimensions_that_vary() -> None:
    """A dimension counts as active if its posterior mean's variance exceeds 0.01."""
    mean = torch.zeros(1000, 3)
    mean[:, 0] = torch.linspace(-1, 1, 1000)
    mean[:, 1] = 5.0
    mean[:, 2] = 0.05 * torch.linspace(-1, 1, 1000)
    totals = Totals(3, DEVICE)
    totals.add(torch.zeros(1000), mean, torch.zeros(1000, 3))

    assert totals.figures().active_units == 1


def test_a_map_counts_value_by_value() -> None:
    """Latents that are maps have a KL and a variance for each of their values, in their order."""
    mean, logvar = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4)
    map_, vector = Totals(24, DEVICE), Totals(24, DEVICE)
    map_.add(torch.zeros(5), mean, logvar)
    vector.add(torch.zeros(5), mean.flatten(1), logvar.flatten(1))

    assert map_.figures() == vector.figures()


def test_totals_continue_from_their_state() -> None:
    """Sums that were saved and loaded go on as if nothing had happened."""
    likelihood, mean, logvar = torch.randn(4), torch.randn(4, 2), torch.randn(4, 2)
    straight, resumed = Totals(2, DEVICE), Totals(2, DEVICE)
    straight.add(likelihood, mean, logvar)
    resumed.load(straight.state())
    for totals in (straight, resumed):
        totals.add(likelihood * 2, mean, logvar)

    assert resumed.figures() == straight.figures()


def test_reset_forgets() -> None:
    """After a reset only what follows counts."""
    totals = Totals(1, DEVICE)
    totals.add(torch.tensor([100.0]), torch.zeros(1, 1), torch.zeros(1, 1))
    totals.reset()
    totals.add(torch.tensor([1.0]), torch.zeros(1, 1), torch.zeros(1, 1))

    assert totals.figures().log_likelihood == 1.0
