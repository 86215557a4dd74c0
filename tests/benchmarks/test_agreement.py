"""Servers that answer something else than the bundle gives are not compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement, report, workloads
from benchmarks.__main__ import find_bundle, golden_image
from benchmarks.servers import naive, running, vaeserve
from model.bundle import BundleError, open_bundle
from model.pixels import Images
from tests import arithmetic_bundle


@pytest.fixture
def image() -> Images:
    return np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_pictures_survive_png(image: Images) -> None:
    """A picture sent as PNG comes back from its bytes as it was."""
    assert np.array_equal(workloads.from_png(workloads.to_png(image), 3), image)
    grey = image[:, :, :1]
    assert np.array_equal(workloads.from_png(workloads.to_png(grey), 1), grey)


def test_columns_line_up() -> None:
    """The first column stands left, the others right, under the widest of each."""
    lines = report.table(["name", "n"], [["a", "100"], ["longer", "1"]]).splitlines()
    assert lines == ["name      n", "------  ---", "a       100", "longer    1"]


def test_a_repository_without_a_bundle_is_named(tmp_path: Path) -> None:
    """The error says where was looked, and that there is none."""
    with pytest.raises(BundleError, match="found: none"):
        find_bundle(tmp_path, None)


def test_the_highest_version_is_taken(tmp_path: Path) -> None:
    """Versions are numbers, so that 10 is above 9."""
    for version in (9, 10):
        arithmetic_bundle.write(tmp_path, version=version)
    assert find_bundle(tmp_path, None).folder.name == "10"


def test_several_models_have_to_be_told_apart(tmp_path: Path) -> None:
    """With two models in the repository, one has to be named, and then it is taken."""
    arithmetic_bundle.write(tmp_path, name="one")
    arithmetic_bundle.write(tmp_path, name="two")
    with pytest.raises(BundleError, match="found: one, two"):
        find_bundle(tmp_path, None)
    assert find_bundle(tmp_path, "two").folder.parent.name == "two"


def test_both_servers_agree_with_their_bundle_and_not_with_another(tmp_path: Path) -> None:
    """This service and the naive one reconstruct alike, and another model's picture shows."""
    bundle = arithmetic_bundle.write(tmp_path)
    other = arithmetic_bundle.write_bernoulli(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    with running(vaeserve(bundle)) as ours, running(naive(bundle)) as plain:
        agreement.check([ours, plain], bundle, image)
        with pytest.raises(agreement.AgreementError, match="naive /reconstruct differs by"):
            agreement.check([plain], other, image)


def test_the_golden_picture_is_the_bundle_s(tmp_path: Path) -> None:
    """The picture that is uploaded has the size that the model takes."""
    bundle = open_bundle(arithmetic_bundle.write(tmp_path).folder)
    assert golden_image(bundle).shape == (4, 4, 1)
