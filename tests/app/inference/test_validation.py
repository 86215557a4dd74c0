"""The size of what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import InvalidFieldError
from app.inference import validation
from model.images.fitting import Fitted
from tests import arithmetic_bundle, arithmetic_maps
from tests.arithmetic_maps import HEIGHT, WIDTH

MAPS = arithmetic_maps.manifest()
FIXED = arithmetic_bundle.manifest()


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(None, None, (HEIGHT, WIDTH)), (32, None, (32, WIDTH)), (4, 28, (4, 28))],
)
def test_what_is_not_said_is_the_model_s_own(
    height: int | None, width: int | None, size: tuple[int, int]
) -> None:
    """Each side that a caller names is theirs, the other the default."""
    assert validation.chosen(MAPS, height, width) == size
    assert validation.chosen(FIXED, None, None) == (4, 4)


@pytest.mark.parametrize("length", [2, 6, 36])
def test_a_size_that_is_not_taken_is_refused(length: int) -> None:
    """Beyond the range, or between its steps."""
    with pytest.raises(InvalidFieldError, match=r"width must be 4 … 32 in steps of 4") as caught:
        validation.chosen(MAPS, None, length)
    assert (caught.value.field, caught.value.limit) == ("width", 32)


def test_a_model_of_one_size_has_no_choice() -> None:
    """Naming a size is an error even where it would be the right one."""
    with pytest.raises(InvalidFieldError, match=r"draws only 4×4 images; leave out height"):
        validation.chosen(FIXED, 4, None)


def test_latents_tell_the_size_of_their_images() -> None:
    """An entry of a map is `factor` pixels a side; a vector's image has the model's size."""
    assert validation.of_latents(MAPS, (3, 6, 16)) == (12, 32)
    assert validation.of_latents(FIXED, (2,)) == (4, 4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((4, 6, 6), r"\[n, 3, h, w\], got \[n, 4, 6, 6\]"),
        ((3, 6), r"\[n, 3, h, w\]"),
        ((3, 5, 6), "the height of latents is 5, which is 10 pixels"),
        ((3, 6, 18), "the width of latents is 18, which is 36 pixels"),
        ((3, 1, 6), "the height of latents is 1, which is 2 pixels"),
    ],
)
def test_latents_of_no_image_are_refused(shape: tuple[int, ...], words: str) -> None:
    """The error names the axis, and the sizes that the model has."""
    with pytest.raises(InvalidFieldError, match=words):
        validation.of_latents(MAPS, shape)
    with pytest.raises(InvalidFieldError, match=r"the shape \[n, 2\]"):
        validation.of_latents(FIXED, shape)


def test_images_of_a_request_have_one_size() -> None:
    """The first that differs is named by its index."""
    fitted = [
        Fitted(np.zeros((height, 8, 3), np.uint8), 8, height, "RGB") for height in (4, 4, 8, 4)
    ]
    validation.check_alike(fitted[:2])
    with pytest.raises(InvalidFieldError, match=r"image 2 is 8×8 .* image 0 is 8×4") as caught:
        validation.check_alike(fitted)
    assert caught.value.index == 2
