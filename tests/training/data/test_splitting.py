"""An image's own bytes decide its side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.data.splitting import Keys, digest_of_split, hold_back, image_digest, to_keys

SHARES = st.floats(0, 1, exclude_max=True)
FILES = st.lists(st.binary(max_size=3), min_size=1, max_size=30)


def keys(files: list[bytes]) -> Keys:
    return to_keys([image_digest(content) for content in files])


@given(files=FILES, share=SHARES)
def test_equal_files_are_on_one_side(files: list[bytes], share: float) -> None:
    """What one of two copies is, the other is too."""
    held = hold_back(keys(files)[:, 0], share)

    sides = {content: set(held[[content == other for other in files]]) for content in files}
    assert all(len(side) == 1 for side in sides.values())


@given(files=FILES, share=SHARES)
def test_neither_side_is_empty(files: list[bytes], share: float) -> None:
    """Of two different images or more, one at least is held back and one is not."""
    assume(share > 0 and len(set(files)) > 1)

    held = hold_back(keys(files)[:, 0], share)

    assert held.any()
    assert not held.all()


@given(files=FILES)
def test_no_share_holds_nothing_back(files: list[bytes]) -> None:
    """Without a share everything is trained on."""
    assert not hold_back(keys(files)[:, 0], 0).any()


@given(share=st.floats(0.2, 0.8), seed=st.integers(0, 1000))
def test_other_images_move_none(share: float, seed: int) -> None:
    """In a larger set the same images are held back of those that were there before."""
    files = [f"{seed}-{number}".encode() for number in range(400)]

    few, many = hold_back(keys(files[:200])[:, 0], share), hold_back(keys(files)[:, 0], share)

    assert np.array_equal(few, many[:200])


@pytest.mark.parametrize("share", [1 / 12, 0.1, 0.5])
def test_the_part_is_about_the_share(share: float) -> None:
    """Of many images, the share is met within four standard deviations, for both keys."""
    count = 20_000
    numbers = keys([str(number).encode() for number in range(count)])

    for column in (0, 1):
        held = hold_back(numbers[:, column], share).sum()
        assert abs(held - share * count) < 4 * (count * share * (1 - share)) ** 0.5


def test_the_two_keys_are_independent() -> None:
    """Among the images that one key holds back, the other holds back its share of them too."""
    numbers = keys([str(number).encode() for number in range(20_000)])

    first, second = (hold_back(numbers[:, column], 0.5) for column in (0, 1))

    assert 0.23 < (first & second).mean() < 0.27


def test_the_side_of_a_image_is_settled() -> None:
    """The keys of known bytes are known: another hash would mix what was trained on with what was
    held back."""
    assert keys([b"", b"picture"]).tolist() == [
        [4665148505410102986, 8103847710287220046],
        [10243063095279807624, 298819402094489294],
    ]


def test_the_digest_is_of_what_is_held_back() -> None:
    """It changes with an image that changes sides, and not with the images' order."""
    numbers = keys([b"a", b"b", b"c"])
    held, none = np.array([True, False, True]), np.zeros(3, np.bool_)

    same = digest_of_split(numbers[::-1], held[::-1], none)

    assert digest_of_split(numbers, held, none) == same
    assert digest_of_split(numbers, ~held, none) != same
    assert digest_of_split(numbers, none, held) != same
