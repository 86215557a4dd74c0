"""The models of requests and answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.api.reconstruct import ReconstructOptions
from app.api.sample import SampleOptions
from model.noise import MAX_SEED


def test_defaults() -> None:
    """Without options one image of the model's own size is drawn at temperature 1 with a seed of
    the server's."""
    drawn = {"n": 1, "seed": None, "temperature": 1.0, "radius": None}
    assert SampleOptions().model_dump() == drawn | {"height": None, "width": None}
    assert set(ReconstructOptions().model_dump().values()) == {None}


@pytest.mark.parametrize(
    "members",
    [
        {"n": 0},
        {"seed": -1},
        {"seed": MAX_SEED + 1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"N": 1},
    ],
)
def test_bad_options_are_refused(members: dict[str, Any]) -> None:
    """Values out of range and unknown names are errors."""
    with pytest.raises(ValidationError):
        SampleOptions.model_validate(members)


def test_the_largest_seed_is_exact_in_any_json_client() -> None:
    """2^53 − 1 is taken, and a double holds it."""
    assert SampleOptions(seed=MAX_SEED).seed == int(float(MAX_SEED)) == 2**53 - 1
