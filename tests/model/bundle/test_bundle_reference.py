"""model/bundle/bundle.py and the reference: read with the bundle, or the bundle is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.bundle.bundle import Bundle, BundleError, open_bundle
from model.bundle.reference import REFERENCE
from tests import arithmetic_bundle
from tests.model.bundle.test_bundle import edit


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return arithmetic_bundle.write(tmp_path)


REFERENCE_SPEC = {
    "split": "test",
    "fingerprint": "f",
    "n": 3,
    "samples": 64,
    "seed": 0,
    "binarised": ["none"],
}


def test_a_reference_is_read_when_the_bundle_is_opened(tmp_path: Path) -> None:
    """The stored bounds are there to compare with; a bundle without them has none."""
    stored = arithmetic_bundle.write(tmp_path, reference={"none": [-3.0, -1.0, -2.0]}).reference
    without = arithmetic_bundle.write(tmp_path, version=2)

    assert stored is not None
    assert stored.bounds["none"].tolist() == [-3, -2, -1]
    assert without.reference is None


def test_a_manifest_from_before_references_is_read(bundle: Bundle) -> None:
    """Manifests without the member are as readable as ever."""
    edit(bundle, lambda document: document.pop("reference"))

    assert open_bundle(bundle.folder).reference is None


def test_a_reference_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    """The right hash is not enough: the bounds must be as many as the manifest states."""
    bundle = arithmetic_bundle.write(tmp_path, reference={"none": [-3.0, -1.0, -2.0]})
    edit(bundle, lambda document: document["reference"].update(n=2))

    with pytest.raises(BundleError, match=r"reference\.npz: none is float64 \(3,\)"):
        open_bundle(bundle.folder)


def test_a_damaged_reference_is_refused(tmp_path: Path) -> None:
    """One flipped byte, and the bundle does not open."""
    path = arithmetic_bundle.write(tmp_path, reference={"none": [-1.0]}).folder / REFERENCE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BundleError, match=r"reference\.npz: damaged"):
        open_bundle(path.parent)


def test_a_described_reference_must_be_there(bundle: Bundle) -> None:
    """A manifest that speaks of a reference which is no file of the bundle is refused."""
    edit(bundle, lambda document: document.update(reference=REFERENCE_SPEC))

    with pytest.raises(BundleError, match=r"reference\.npz: not listed"):
        open_bundle(bundle.folder)


@pytest.mark.parametrize("change", [{"binarised": ["sample", "threshold"]}, {"binarised": []}])
def test_a_reference_of_another_likelihood_is_refused(
    bundle: Bundle, change: dict[str, Any]
) -> None:
    """A Gaussian's images are not binarised, so it has bounds of images as they are."""
    edit(bundle, lambda document: document.update(reference=REFERENCE_SPEC | change))

    with pytest.raises(BundleError, match=r"reference\.binarised must be none"):
        open_bundle(bundle.folder)


def test_a_reference_needs_a_likelihood(bundle: Bundle) -> None:
    """Bounds of a model without a likelihood are none."""
    edit(bundle, lambda document: document.update(likelihood=None, reference=REFERENCE_SPEC))

    with pytest.raises(BundleError, match="needs a likelihood"):
        open_bundle(bundle.folder)
