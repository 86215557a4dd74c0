"""Which sizes there are, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from model.bundle.layout import VARIES, InputSpec, LatentSpec, SizesSpec, TensorSpec


def test_sizes_are_a_range_in_steps() -> None:
    """A length is taken within the range and on a step."""
    sizes = SizesSpec(min=8, max=24, multiple=8)

    assert [length for length in range(33) if sizes.take(length)] == [8, 16, 24]
    assert str(sizes) == "8 … 24 in steps of 8"


@pytest.mark.parametrize("members", [(4, 24, 8), (8, 20, 8), (16, 8, 8), (0, 8, 8)])
def test_the_ends_of_a_range_are_sizes_themselves(members: tuple[int, int, int]) -> None:
    """Ends that are no multiples, upside down or not positive are refused."""
    with pytest.raises(ValidationError, match=r"multiples of 8 with min|greater than 0"):
        SizesSpec(min=members[0], max=members[1], multiple=members[2])


def test_the_default_size_is_one_that_is_taken() -> None:
    """Height and width lie within the sizes, where there are any."""
    members: dict[str, Any] = {"channels": 3, "height": 12, "width": 8, "order": "RGB"}
    with pytest.raises(ValidationError, match=r"must be 8 … 16 in steps of 8, got 12×8"):
        InputSpec(**members, sizes=SizesSpec(min=8, max=16, multiple=8))

    assert InputSpec(**members).axes == (3, 12, 8)
    spec = InputSpec(**members | {"height": 16}, sizes=SizesSpec(min=8, max=16, multiple=8))
    assert spec.axes == (3, VARIES, VARIES)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"shape": (8,), "factor": 2}, "factor requires a latent map"),
        ({"shape": (4, 2, 2), "scaling": 0.0}, "scaling must not be 0"),
    ],
)
def test_a_latent_that_contradicts_itself_is_refused(members: dict[str, Any], words: str) -> None:
    """A vector has no factor, and what is scaled to nothing can't be decoded."""
    with pytest.raises(ValidationError, match=words):
        LatentSpec(**members)


@pytest.mark.parametrize("shape", [(0,), (3, -2), ()])
def test_an_axis_is_positive_or_varies(shape: tuple[int, ...]) -> None:
    """−1 says that a length varies; no other number below 1 means anything."""
    with pytest.raises(ValidationError):
        TensorSpec(name="image", shape=shape)

    assert TensorSpec(name="image", shape=(3, VARIES)).shape == (3, -1)
