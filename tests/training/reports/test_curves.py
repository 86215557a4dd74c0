"""Curves of one run or several, of the figures that there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.reports.curves import BOUND, PANELS, draw_curve, draw_kl, draw_stroke, drawn

LOG: list[dict[str, Any]] = [
    {"epoch": epoch, "elbo": -100.0 + epoch, "validation_elbo": -101.0 + epoch}
    for epoch in range(1, 6)
]


def test_one_run_beside_its_validation() -> None:
    """The training curve and the validation one, told apart by a legend."""
    (axes,) = draw_curve(BOUND, {"training": LOG}).axes

    assert [line.get_label() for line in axes.lines] == ["training", "validation"]
    assert np.asarray(axes.lines[1].get_ydata()).tolist() == [-100, -99, -98, -97, -96]
    assert axes.get_legend() is not None


def test_several_runs_keep_their_colours() -> None:
    """A run's lines have one colour, its own among the first ten and another stroke after them."""
    logs = {f"run {number}": LOG for number in range(12)}

    (axes,) = draw_curve(BOUND, logs).axes

    looks = [(line.get_color(), line.get_linestyle()) for line in axes.lines[::2]]
    assert len(set(looks)) == 12
    assert looks[0][0] == looks[10][0] == axes.lines[1].get_color()
    assert draw_stroke(11).artists[0].get_color() == looks[11][0]  # type: ignore[attr-defined]


def test_only_what_is_there_is_drawn() -> None:
    """Panels without a figure in any run are left out; a run without it has no line."""
    logs = {"a": LOG, "b": [{"epoch": 1, "kl": 3.0}]}

    assert [panel.key for panel in drawn(PANELS, logs)] == ["elbo", "kl"]
    (axes,) = draw_curve(BOUND, {"b": logs["b"], "a": LOG}).axes
    assert len(axes.lines) == 2


def test_the_largest_kl_comes_first() -> None:
    """Bars of all dimensions, sorted."""
    (axes,) = draw_kl([0.5, 3.0, 0.0]).axes

    assert list(axes.patches[0].get_data().values) == [3.0, 0.5, 0.0]  # type: ignore[attr-defined]
