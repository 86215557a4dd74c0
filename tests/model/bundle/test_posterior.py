"""Stored posterior means come back as they were, or are refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import CARD, BundleError, open_bundle
from model.bundle.manifest import PosteriorSpec
from model.bundle.posterior import IMAGES, LARGEST, parse_posterior, storable, write_posterior
from tests import arithmetic_bundle
from tests.model.bundle.test_bundle import edit

SPEC = PosteriorSpec(split="test", fingerprint="f", n=3, classes=("zero", "one"))
MEANS = np.arange(6, dtype=np.float32).reshape(3, 2)
LABELS = np.array([1, -1, 0])


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_means_and_labels_come_back() -> None:
    """The same values, in the same order."""
    read = parse_posterior(write_posterior(MEANS, LABELS), SPEC, (2,))

    assert read.means.dtype == np.float32
    assert read.means.tolist() == MEANS.tolist()
    assert read.labels.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("values", "stored"), [(32, IMAGES), (128, IMAGES), (256, IMAGES), (1024, 1250)]
)
def test_what_is_stored_is_bounded(values: int, stored: int) -> None:
    """Means of large latents take half the precision first, and are fewer then; the file stays
    below its bound, and float16 is as exact as a map needs."""
    assert storable(10_000, values) == stored
    assert storable(100, values) == 100
    means = np.full((stored, values), 1.2345, np.float32)
    spec = PosteriorSpec(split="test", fingerprint="f", n=stored)

    content = write_posterior(means, np.full(stored, -1))

    assert len(content) < LARGEST + 8 * stored + 1024
    read = parse_posterior(content, spec, (values,))
    np.testing.assert_allclose(read.means, means, rtol=1e-3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an archive"),
        (archive(mean=MEANS), "it should have mean, label"),
        (archive(mean=MEANS[:2], label=LABELS), r"mean is float32 \(2, 2\)"),
        (archive(mean=MEANS.astype(np.float64), label=LABELS), "mean is float64"),
        (archive(mean=MEANS * np.nan, label=LABELS), "finite"),
        (archive(mean=MEANS, label=LABELS[:2]), r"label is int64 \(2,\)"),
        (archive(mean=MEANS, label=LABELS * 1.0), "label is float64"),
        (archive(mean=MEANS, label=LABELS + 1), "label must be -1 … 1"),
        (archive(mean=MEANS, label=LABELS - 1), "label must be -1 … 1"),
        (archive(mean=np.array([{}] * 3), label=LABELS), "not an archive"),
    ],
)
def test_what_is_none_is_refused(content: bytes, words: str) -> None:
    """Anything but finite means and known labels, as many as stated, is an error; no pickle is
    read."""
    with pytest.raises(ValueError, match=words):
        parse_posterior(content, SPEC, (2,))


def test_a_bundle_is_opened_with_them(tmp_path: Path) -> None:
    """Means and card are there; a bundle from before, without both, opens as ever."""
    stored = arithmetic_bundle.write(tmp_path, posterior=(MEANS, LABELS), page="# A card\n")
    without = arithmetic_bundle.write(tmp_path, version=2)
    edit(without, lambda document: document.pop("posterior"))

    assert stored.posterior is not None
    assert stored.posterior.means.tolist() == MEANS.tolist()
    assert stored.card == "# A card\n"
    opened = open_bundle(without.folder)
    assert (opened.posterior, opened.card) == (None, None)


def test_a_bundle_with_other_means_than_it_says_is_refused(tmp_path: Path) -> None:
    """The right hash is not enough: they must be as many as the manifest states."""
    bundle = arithmetic_bundle.write(tmp_path, posterior=(MEANS, LABELS))
    edit(bundle, lambda document: document["posterior"].update(n=2))

    with pytest.raises(BundleError, match=r"posterior\.npz: mean is float32 \(3, 2\)"):
        open_bundle(bundle.folder)


@pytest.mark.parametrize(("card", "told"), [("a\0b", "NUL"), ("a" * 2_000_000, "more than")])
def test_a_card_is_a_text_of_bounded_size(tmp_path: Path, card: str, told: str) -> None:
    """It is kept in memory and shown."""
    with pytest.raises(BundleError, match=rf"{CARD}: .*{told}"):
        arithmetic_bundle.write(tmp_path, page=card)


@pytest.mark.parametrize("changed", [{"n": 5001}, {"classes": ["a\0"]}, {"classes": ["a\x1b[0m"]}])
def test_what_describes_means_is_bounded(tmp_path: Path, changed: dict[str, Any]) -> None:
    """More means than are ever stored, and names that no page can show, are refused."""
    bundle = arithmetic_bundle.write(tmp_path, posterior=(MEANS, LABELS))
    edit(bundle, lambda document: document["posterior"].update(changed))

    with pytest.raises(BundleError, match=rf"posterior\.{next(iter(changed))}"):
        open_bundle(bundle.folder)


def test_more_bytes_than_are_ever_written_are_refused() -> None:
    """The bound of the file holds for whoever reads it too."""
    spec = PosteriorSpec(split="test", fingerprint="f", n=5000)
    content = archive(mean=np.zeros((5000, 200), np.float32), label=np.full(5000, -1))

    with pytest.raises(ValueError, match="are stored as float16"):
        parse_posterior(content, spec, (200,))
    with pytest.raises(ValueError, match="at most 4266 are allowed"):
        parse_posterior(content, spec, (300,))


def test_a_card_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """It is served as text, so it has to be one."""
    with pytest.raises(BundleError, match=rf"{CARD}: .*utf-8"):
        arithmetic_bundle.write(tmp_path, page=b"\xff")
