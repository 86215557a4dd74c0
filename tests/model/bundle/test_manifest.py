"""A manifest whose members contradict each other is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.bundle.bundle import MANIFEST, BundleError, open_bundle
from model.bundle.manifest import InputSpec, LatentSpec, LikelihoodSpec, Manifest, name_problem
from tests import arithmetic_bundle, arithmetic_maps

SHIPPED = Path(__file__).parents[3] / "model" / "bundles" / "mnist" / "3"


def document(**changes: Any) -> dict[str, Any]:
    """The manifest of the arithmetic bundle, sections changed member by member."""
    whole = arithmetic_bundle.manifest().model_dump(mode="json")
    for name, members in changes.items():
        whole[name] |= members
    return whole


@pytest.mark.parametrize(
    "value_range",
    [(1.0, 0.0), (0.5, 0.5), (0.0, float("inf")), (float("-inf"), 0.0), (float("nan"), 1.0)],
)
def test_a_value_range_is_finite_and_increases(value_range: tuple[float, float]) -> None:
    """Pixels can't be scaled to a range that is empty, upside down or endless."""
    with pytest.raises(ValidationError, match=r"value_range|finite"):
        InputSpec(channels=1, height=4, width=4, order="L", value_range=value_range)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stats", "reserved"),
        ("faces-encoder", "ends in -encoder"),
        ("faces-decoder", "ends in -decoder"),
        ("a-reconstruct", "ends in -reconstruct"),
    ],
)
def test_names_of_the_inference_protocol_are_no_names_of_bundles(name: str, words: str) -> None:
    """A bundle can't be called as a route or as one of the models that bundles are served as."""
    assert words in name_problem(name)
    with pytest.raises(ValidationError, match=words):
        arithmetic_bundle.manifest(name)
    for fine in ("faces", "encoder", "my-encoders", "reconstruct-1"):
        assert name_problem(fine) == ""


@pytest.mark.parametrize(("channels", "order"), [(1, "RGB"), (3, "L")])
def test_order_fits_the_channels(channels: int, order: str) -> None:
    """One channel is L and three are RGB; the other way round is refused."""
    with pytest.raises(ValidationError, match=r"order must be (L with 1|RGB with 3) channels"):
        InputSpec.model_validate({"channels": channels, "height": 4, "width": 4, "order": order})


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"family": "gaussian"}, "needs a scale"),
        ({"family": "bernoulli", "scale": 0.5}, "neither scale nor levels"),
        ({"family": "bernoulli", "levels": 256}, "neither scale nor levels"),
        ({"family": "gaussian", "scale": [0.5]}, "needs a scale, its standard deviation"),
        ({"family": "gaussian", "scale": 0.5, "levels": 256}, "and no levels"),
        ({"family": "logistic", "scale": [0.1]}, "needs levels, and a list of scales"),
        ({"family": "logistic", "scale": 0.1, "levels": 256}, "and a list of scales"),
        ({"family": "logistic", "levels": 256}, "and a list of scales"),
    ],
)
def test_the_members_of_a_likelihood_fit_its_family(members: dict[str, Any], words: str) -> None:
    """A Gaussian can't be scored without its scale, a logistic not without its levels and a list
    of scales, and a Bernoulli has none of them."""
    with pytest.raises(ValidationError, match=words):
        LikelihoodSpec.model_validate({"dimensions": 16, **members})


def test_the_likelihood_covers_the_image() -> None:
    """Another number of dimensions than the image's would give wrong bits per dimension."""
    with pytest.raises(ValidationError, match=r"likelihood\.dimensions must be .* 16, got 15"):
        Manifest.model_validate(document(likelihood={"dimensions": 15}))


def test_a_scale_a_channel() -> None:
    """A logistic has as many scales as the image has channels."""
    members = {"family": "logistic", "scale": [0.1, 0.2, 0.3], "levels": 256}

    with pytest.raises(ValidationError, match=r"each of the 1 channels, got 3"):
        Manifest.model_validate(document(likelihood=members))


def test_a_bundle_with_such_a_manifest_is_not_opened(tmp_path: Path) -> None:
    """The file and the member at fault are named."""
    path = arithmetic_bundle.write(tmp_path).folder / MANIFEST
    path.write_text(path.read_text().replace('"scale": 1.0', '"scale": null'))

    with pytest.raises(BundleError, match=r"(?s)manifest\.json.*likelihood.*needs a scale"):
        open_bundle(path.parent)


def test_what_ships_and_what_others_test_with_opens(tmp_path: Path) -> None:
    """The shipped bundle and both variants of the tests' own hold no contradiction."""
    written = [arithmetic_bundle.write(tmp_path), arithmetic_bundle.write_bernoulli(tmp_path)]

    for folder in (SHIPPED, *(bundle.folder for bundle in written)):
        assert open_bundle(folder).manifest.likelihood is not None


def test_latents_follow_the_size_of_the_image() -> None:
    """A map has `factor` pixels a side for each entry; a fixed shape stays what it is."""
    maps, fixed = arithmetic_maps.manifest(), arithmetic_bundle.manifest()

    assert maps.latent_axes == (3, -1, -1)
    assert maps.latent_shape(16, 20) == (3, 8, 10)
    assert maps.image_size((3, 8, 10)) == (16, 20)
    assert maps.smallest_latent == (3, 2, 2)
    assert fixed.latent_axes == fixed.latent_shape(16, 20) == fixed.smallest_latent == (2,)
    assert fixed.image_size((2,)) == (4, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latent": LatentSpec(shape=(3, 4, 6))}, r"latent\.factor must be given"),
        ({"latent": LatentSpec(shape=(3, 4, 6), factor=3)}, "divide sizes.multiple, 4, got 3"),
        ({"latent": LatentSpec(shape=(3, 4, 4), factor=2)}, r"must be \[3, 4, 6\]"),
        (
            {"likelihood": LikelihoodSpec(family="gaussian", dimensions=288, scale=1.0)},
            "images of one size",
        ),
    ],
)
def test_sizes_fit_the_rest(changes: dict[str, Any], words: str) -> None:
    """A range of sizes needs latents that follow it, and has no likelihood."""
    with pytest.raises(ValidationError, match=words):
        arithmetic_maps.manifest(**changes)


def test_a_bundle_of_many_sizes_opens(tmp_path: Path) -> None:
    """What is written is what is read."""
    written = arithmetic_maps.write(tmp_path)

    assert open_bundle(written.folder).manifest == written.manifest
