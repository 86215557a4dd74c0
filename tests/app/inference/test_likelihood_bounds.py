"""What a bound may be asked of, before anything is computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.errors import InvalidFieldError, UnsupportedByModelError
from app.inference.likelihood_bounds import Bounds, check_likelihood
from model.bundle.manifest import LikelihoodSpec

BERNOULLI = LikelihoodSpec(family="bernoulli", dimensions=4, binarise="sample")
LOGISTIC = LikelihoodSpec(family="logistic", dimensions=4, scale=(0.1,), levels=256)
GAUSSIAN = LikelihoodSpec(family="gaussian", dimensions=4, scale=1.0)


def bounds_of(likelihood: LikelihoodSpec) -> Bounds:
    """Of one image, its importance-weighted bound −4."""
    one = np.array([1.0])
    return Bounds(likelihood, 1, None, 0, -3 * one, 2 * one, -4 * one, one, one, None)


def test_a_likelihood_is_needed() -> None:
    """Without a likelihood in the manifest there is no bound."""
    with pytest.raises(UnsupportedByModelError):
        check_likelihood(None, None)


def test_binarisation_is_for_bernoulli_models() -> None:
    """Images of others are scored as they are, and asking otherwise is an error."""
    for spec in (GAUSSIAN, LOGISTIC):
        with pytest.raises(InvalidFieldError, match=f"this one is {spec.family}"):
            check_likelihood(spec, "threshold")
    assert check_likelihood(GAUSSIAN, None) is GAUSSIAN
    assert check_likelihood(BERNOULLI, "sample") is BERNOULLI


def test_the_elbo_is_the_difference_of_its_parts() -> None:
    """ELBO = E[log p(x|z)] − KL."""
    assert bounds_of(GAUSSIAN).elbo.tolist() == [-5.0]


def test_bits_are_for_probabilities_and_nats_for_densities() -> None:
    """−bound/(D ln 2) of a Bernoulli or a logistic model over 4 pixels, −bound/D of a Gaussian."""
    density = bounds_of(GAUSSIAN)
    for discrete in (bounds_of(BERNOULLI), bounds_of(LOGISTIC)):
        assert discrete.bits_per_dimension == pytest.approx([1 / math.log(2)])
        assert discrete.nats_per_dimension is None
    assert density.bits_per_dimension is None
    assert density.nats_per_dimension is not None
    assert density.nats_per_dimension.tolist() == [1.0]
