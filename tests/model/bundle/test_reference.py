"""Stored bounds come back as they were, or are refused; percentiles."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from model.bundle.manifest import ReferenceSpec
from model.bundle.reference import parse_reference, write_reference

SPEC = ReferenceSpec(
    split="test", fingerprint="f", n=4, samples=64, seed=1, binarised=("sample", "threshold")
)
BOUNDS = {"threshold": np.array([3.0, 1, 2, 2]), "sample": np.array([-1.0, -4, -3, -2])}


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_bounds_come_back_sorted() -> None:
    """What was written in any order is read in ascending order."""
    read = parse_reference(write_reference(BOUNDS), SPEC)  # type: ignore[arg-type]

    assert read.bounds["threshold"].tolist() == [1, 2, 2, 3]
    assert read.bounds["sample"].tolist() == [-4, -3, -2, -1]


def test_percentiles_by_hand() -> None:
    """The share of bounds below, equal ones counting half, of the same binarisation alone."""
    read = parse_reference(write_reference(BOUNDS), SPEC)  # type: ignore[arg-type]
    values = np.array([0.0, 1.0, 1.5, 2.0, 9.0])

    percent = read.percentiles(values, "threshold", 64)
    assert percent is not None
    assert percent.tolist() == [0, 12.5, 25, 50, 100]
    other = read.percentiles(values, "sample", 64)
    assert other is not None
    assert other.tolist() == [100] * 5


def test_what_is_not_comparable_has_no_percentile() -> None:
    """Another K, or a binarisation that is not stored, gives none."""
    read = parse_reference(write_reference(BOUNDS), SPEC)  # type: ignore[arg-type]

    assert read.percentiles(np.zeros(1), "threshold", 63) is None
    assert read.percentiles(np.zeros(1), "none", 64) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an archive"),
        (b"PK\x03\x04 cut", "not an archive"),
        (archive(sample=np.arange(4.0)), "it should have sample, threshold"),
        (archive(sample=np.arange(4.0), threshold=np.arange(5.0)), "threshold is float64 .5,."),
        (archive(sample=np.arange(4), threshold=np.arange(4.0)), "sample is int64"),
        (archive(sample=np.arange(4.0)[::-1], threshold=np.arange(4.0)), "sorted"),
        (archive(sample=np.array([0, 1, 2, np.inf]), threshold=np.arange(4.0)), "finite"),
        (archive(sample=np.array([0, 1, np.nan, 2]), threshold=np.arange(4.0)), "finite"),
        (archive(sample=np.array([{}] * 4), threshold=np.arange(4.0)), "not an archive"),
    ],
)
def test_what_is_no_reference_is_refused(content: bytes, words: str) -> None:
    """Anything but finite, ascending bounds, as many as stated, is an error; no pickle is read."""
    with pytest.raises(ValueError, match=words):
        parse_reference(content, SPEC)
