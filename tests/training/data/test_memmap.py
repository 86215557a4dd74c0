"""Rows of a file that stay there until they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.pixels import Images
from training.data.memmap import MappedImages


@pytest.fixture
def whole(tmp_path: Path) -> Images:
    """Ten images [2, 3, 1], mapped from a file."""
    images = np.arange(60, dtype=np.uint8).reshape(10, 2, 3, 1)
    np.save(tmp_path / "images.npy", images)
    mapped: Images = np.load(tmp_path / "images.npy", mmap_mode="r")
    return mapped


@pytest.mark.parametrize("rows", [None, np.array([7, 0, 3, 9])])
def test_it_reads_like_an_array(whole: Images, rows: NDArray[np.int64] | None) -> None:
    """Length, shape, size, slices, row numbers and the whole are those of the rows in memory."""
    images = MappedImages(whole, rows)
    expected = np.array(whole) if rows is None else np.array(whole)[rows]

    assert len(images) == len(expected)
    assert images.shape == expected.shape
    assert images.nbytes == expected.nbytes
    for index in (slice(0, 2), slice(3, 99), slice(None), np.array([3, 1, 1])):
        np.testing.assert_array_equal(images[index], expected[index])
    np.testing.assert_array_equal(np.asarray(images), expected)


def test_all_rows_are_a_view(whole: Images) -> None:
    """A slice of a whole file copies nothing."""
    assert np.shares_memory(MappedImages(whole)[2:5], whole)
