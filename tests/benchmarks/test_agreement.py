"""Servers that answer something else than the bundle gives are not compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement, workloads
from benchmarks.servers import naive_default, running, vaeserve
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


def test_both_servers_agree_with_their_bundle_and_not_with_another(tmp_path: Path) -> None:
    """This service and the naive one reconstruct alike, and another model's picture shows."""
    bundle = arithmetic_bundle.write(tmp_path)
    other = arithmetic_bundle.write_bernoulli(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    with running(vaeserve(bundle)) as ours, running(naive_default(bundle)) as plain:
        agreement.check([ours, plain], bundle, image)
        with pytest.raises(agreement.AgreementError, match="naive /reconstruct differs by"):
            agreement.check([plain], other, image)
