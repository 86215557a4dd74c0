"""Paths between latents, by the properties that define them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.interpolation import Path, between
from model.pixels import Floats

PATHS: tuple[Path, ...] = ("linear", "spherical")

finite = st.floats(-(2.0**100), 2.0**100, width=32)
pairs = arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 5)), elements=finite)


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def norms(latents: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The length of each latent."""
    lengths: np.ndarray[Any, np.dtype[np.float64]] = np.linalg.norm(
        latents.astype(np.float64).reshape(len(latents), -1), axis=1
    )
    return lengths


@pytest.mark.parametrize("path", PATHS)
@given(ends=pairs, steps=st.integers(2, 9))
def test_the_ends_are_the_given_latents(path: Path, ends: Floats, steps: int) -> None:
    """Whatever the vectors are, the first and last row are bit-equal to them, the rest finite."""
    latents = between(ends[0], ends[1], steps, path)
    assert latents.shape == (steps, *ends[0].shape)
    assert latents.dtype == np.float32
    assert latents[0].tobytes() == ends[0].tobytes()
    assert latents[-1].tobytes() == ends[1].tobytes()
    assert np.isfinite(latents).all()


def test_a_linear_path_has_equal_steps() -> None:
    """Each row is as far from the next, on the straight line."""
    latents = between(floats(0, 4), floats(8, 0), 5, "linear")
    assert latents.tolist() == [[0, 4], [2, 3], [4, 2], [6, 1], [8, 0]]


def test_a_spherical_path_turns_by_equal_angles() -> None:
    """A quarter of a turn in three steps is 30 degrees each, and the norm stays."""
    latents = between(floats(2, 0), floats(0, 2), 4, "spherical")
    angles = np.degrees(np.arctan2(latents[:, 1], latents[:, 0]))
    assert angles == pytest.approx([0, 30, 60, 90], abs=1e-5)
    assert norms(latents) == pytest.approx([2, 2, 2, 2])


def test_a_spherical_path_is_shoemakes_on_one_sphere() -> None:
    """For ends of one norm it is sin((1−t)θ)/sin θ · a + sin(tθ)/sin θ · b."""
    start, end = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    end *= np.float32(np.linalg.norm(start) / np.linalg.norm(end))
    theta = np.arccos((start * end).sum() / (np.linalg.norm(start) * np.linalg.norm(end)))
    times = np.linspace(0, 1, 7)[:, None, None]
    expected = (np.sin((1 - times) * theta) * start + np.sin(times * theta) * end) / np.sin(theta)
    assert between(start, end, 7, "spherical") == pytest.approx(expected, abs=1e-5)


@given(ends=pairs, steps=st.integers(3, 6))
def test_the_norm_of_a_spherical_path_is_linear(ends: Floats, steps: int) -> None:
    """Row t is (1−t)|a| + t|b| long, opposite ends included; one dimension has no way round."""
    if ends.shape[1] == 1:
        return
    lengths = norms(ends)
    expected = np.linspace(lengths[0], lengths[1], steps)
    latents = between(ends[0], ends[1], steps, "spherical")
    assert norms(latents) == pytest.approx(expected, rel=1e-5, abs=1e-30)


def test_parallel_vectors_and_zeros_go_straight() -> None:
    """Where the angle is 0, or a zero has no direction, the spherical path is the linear one."""
    cases = [((1, 2), (3, 6)), ((0, 0), (3, 6)), ((1, 2), (0, 0)), ((0, 0), (0, 0)), ((5,), (-5,))]
    for start, end in cases:
        one, other = floats(*start), floats(*end)
        spherical = between(one, other, 5, "spherical")
        assert spherical == pytest.approx(between(one, other, 5, "linear"), abs=1e-6), (start, end)


def test_opposite_vectors_turn_towards_the_smallest_axis() -> None:
    """The half turn passes through the axis on which the start is smallest, the first of them."""
    latents = between(floats(0, 0, 3), floats(0, 0, -3), 3, "spherical")
    assert latents == pytest.approx(np.array([[0, 0, 3], [3, 0, 0], [0, 0, -3]]), abs=1e-6)


def test_ends_that_do_not_fit_are_refused() -> None:
    """One step, or two shapes, are the caller's mistake."""
    with pytest.raises(ValueError, match="1 steps"):
        between(floats(1, 2), floats(1, 2), 1, "linear")
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\)"):
        between(floats(1, 2), floats(1, 2, 3), 2, "linear")
