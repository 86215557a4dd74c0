"""Latents as served and as trained."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.bundle.scaling import Scaling


def test_served_latents_are_shifted_then_scaled() -> None:
    """(z − shift) · scaling, in float32."""
    served = Scaling(0.5, 0.25).served(np.array([[1.25, 0.25]], np.float32))

    np.testing.assert_array_equal(served, np.array([[0.5, 0.0]], np.float32))
    assert served.dtype == np.float32


@pytest.mark.parametrize("scaling", [Scaling(0.18215), Scaling(0.3611, 0.1159), Scaling(-2.0, 3.0)])
def test_there_and_back(scaling: Scaling) -> None:
    """`trained` undoes `served`."""
    z = np.random.default_rng(0).standard_normal((4, 3), dtype=np.float32)

    np.testing.assert_allclose(scaling.trained(scaling.served(z)), z, atol=1e-6)


def test_nothing_to_do_hands_on_the_same_array() -> None:
    """Models without scaling pay nothing, and keep every bit."""
    z = np.ones((2, 2), np.float32)

    assert Scaling().served(z) is z
    assert Scaling().trained(z) is z
    assert Scaling(-1.0, 0.5).served_logvar(z) is z


def test_the_variance_is_scaled_by_the_square() -> None:
    """z of variance 4, halved, has variance 1."""
    logvar = Scaling(0.5, 7.0).served_logvar(np.array([math.log(4)], np.float32))

    np.testing.assert_allclose(logvar, 0, atol=1e-6)


def test_beyond_float32_is_infinite_without_a_warning() -> None:
    """Whoever checks for finite values finds them; nothing is raised on the way."""
    z = np.array([3e38, -3e38], np.float32)

    assert np.isinf(Scaling(10.0).served(z)).all()
    assert np.isinf(Scaling(0.1).trained(z)).all()
