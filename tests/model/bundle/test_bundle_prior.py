"""model/bundle/bundle.py and the prior: read with the bundle, or the bundle is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model.bundle.bundle import BundleError, open_bundle
from model.bundle.manifest import LatentSpec, PriorSpec
from model.prior.mixture import PRIOR, Mixture
from tests import arithmetic_bundle
from tests.model.bundle.test_bundle import edit

MIXTURE = Mixture(
    weights=np.array([0.25, 0.75]),
    means=np.array([[-1, 0], [2, 1]], np.float32),
    scales=np.array([[1, 1], [0.5, 2]], np.float32),
)


def test_a_mixture_is_read_when_the_bundle_is_opened(tmp_path: Path) -> None:
    """The prior is there to draw from; a bundle of N(0, I) has none."""
    mixed = arithmetic_bundle.write(tmp_path, mixture=MIXTURE)
    normal = arithmetic_bundle.write(tmp_path, version=2)

    assert mixed.mixture is not None
    assert mixed.mixture.means.tolist() == MIXTURE.means.tolist()
    assert mixed.manifest.prior == PriorSpec(family="mixture", components=2)
    assert normal.mixture is None
    assert normal.manifest.prior == PriorSpec()


def test_a_manifest_from_before_priors_is_read(tmp_path: Path) -> None:
    """Manifests without the member are as readable as ever: their prior is N(0, I)."""
    bundle = arithmetic_bundle.write(tmp_path)
    edit(bundle, lambda document: document.pop("prior"))

    assert open_bundle(bundle.folder).manifest.prior.family == "normal"


def test_a_mixture_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    """The right hash is not enough: it must have the components that the manifest states."""
    bundle = arithmetic_bundle.write(tmp_path, mixture=MIXTURE)
    edit(bundle, lambda document: document["prior"].update(components=3))

    says = r"prior\.npz: has 2 components over 2 values, manifest\.json says 3 components over 2"
    with pytest.raises(BundleError, match=says):
        open_bundle(bundle.folder)


def test_a_damaged_mixture_is_refused(tmp_path: Path) -> None:
    """One flipped byte, and the bundle does not open; nor without the file."""
    path = arithmetic_bundle.write(tmp_path, mixture=MIXTURE).folder / PRIOR
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BundleError, match=r"prior\.npz: damaged"):
        open_bundle(path.parent)
    path.unlink()
    with pytest.raises(BundleError, match=r"prior\.npz: missing"):
        open_bundle(path.parent)


def test_a_mixture_must_be_among_the_files(tmp_path: Path) -> None:
    """A manifest that promises one and lists none is refused."""
    promised = PriorSpec(family="mixture", components=2)

    with pytest.raises(BundleError, match=r"prior\.npz: not listed"):
        arithmetic_bundle.write(tmp_path, prior=promised)


@pytest.mark.parametrize(
    "members", [{"family": "mixture"}, {"components": 2}, {"family": "flow", "components": 2}]
)
def test_a_prior_that_contradicts_itself_is_refused(members: dict[str, Any]) -> None:
    """A mixture needs components, N(0, I) has none, and there are no others."""
    with pytest.raises(ValidationError):
        PriorSpec.model_validate(members)


def test_a_mixture_of_scaled_latents_is_refused() -> None:
    """A mixture is learned with the latents as trained, which scaling would move away from it."""
    mixed = PriorSpec(family="mixture", components=2)
    scaled = LatentSpec(shape=(2,), scaling=0.5)

    with pytest.raises(ValidationError, match=r"leave out input\.sizes, latent\.scaling"):
        arithmetic_bundle.manifest(prior=mixed, latent=scaled, likelihood=None)
