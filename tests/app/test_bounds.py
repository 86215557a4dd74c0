"""What a bound may be asked of, before anything is computed."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from app.bounds import BoundOptions, Bounds, check
from app.errors import InvalidFieldError, UnsupportedByModelError
from model.manifest import LikelihoodSpec

BERNOULLI = LikelihoodSpec(family="bernoulli", dimensions=4, binarise="sample")
GAUSSIAN = LikelihoodSpec(family="gaussian", dimensions=4, scale=1.0)


def options(binarise: Literal["sample", "threshold"] | None = None) -> BoundOptions:
    return BoundOptions(1, binarise, 0)


def test_a_likelihood_is_needed() -> None:
    """Without a likelihood in the manifest there is no bound."""
    with pytest.raises(UnsupportedByModelError):
        check(None, options())


def test_binarisation_is_for_bernoulli_models() -> None:
    """A Gaussian model's pictures are scored as they are, and asking otherwise is an error."""
    with pytest.raises(InvalidFieldError):
        check(GAUSSIAN, options("threshold"))
    assert check(GAUSSIAN, options()) is GAUSSIAN
    assert check(BERNOULLI, options("sample")) is BERNOULLI


def test_the_elbo_is_the_difference_of_its_parts() -> None:
    """ELBO = E[log p(x|z)] − KL."""
    bounds = bounds_of(GAUSSIAN)
    assert bounds.elbo.tolist() == [-5.0]
