"""The measured models are real bundles, and stay the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bundles
from benchmarks.load.workloads import to_png
from model.bundle.bundle import GOLDEN
from model.pixels import to_uint8


@pytest.mark.parametrize(("name", "megaflops"), [("heavy", 39), ("small", 1)])
def test_the_models_are_as_large_as_they_are_said_to_be(name: str, megaflops: int) -> None:
    """Each direction takes about the stated work, and there are about a million parameters."""
    counted = bundles.size(bundles.models()[name])
    assert counted.encoder_flops / 1e6 == pytest.approx(megaflops, rel=0.1)
    assert counted.decoder_flops / 1e6 == pytest.approx(megaflops, rel=0.1)
    assert counted.parameters / 1e6 == pytest.approx(1, rel=0.1)


def test_an_export_is_taken_again_until_its_recipe_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call finds the first one's bundle; another recipe replaces it."""
    first = bundles.provide("small", tmp_path)
    again = bundles.provide("small", tmp_path)
    assert again.manifest == first.manifest
    monkeypatch.setattr(bundles, "_LOGIT_CENTRE", -2.0)
    other = bundles.provide("small", tmp_path)
    assert other.manifest.data.fingerprint != first.manifest.data.fingerprint
    assert other.manifest.files != first.manifest.files


def test_images_have_content(tmp_path: Path) -> None:
    """What the model draws differs from row to row, from black to white, and fills a PNG file."""
    bundle = bundles.provide("small", tmp_path)
    with np.load(io.BytesIO(bundle.read(GOLDEN))) as golden:
        images = to_uint8(golden["pixels"])
    assert images.min() < 10
    assert images.max() > 245
    assert np.abs(images[0].astype(int) - images[1]).mean() > 10
    assert 300 < len(to_png(images[0])) < 900
