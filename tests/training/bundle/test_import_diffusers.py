"""What an imported bundle says, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from model.bundle.bundle import DECODER, ENCODER, open_bundle
from model.bundle.layout import SizesSpec
from model.runtime import Graph
from tests import autoencoder
from tests.conftest import Imported
from training.bundle.autoencoder_kl import read_model
from training.bundle.import_diffusers import Target, import_diffusers
from training.errors import ForeignModelError
from training.export.parity import check_parity


def target(root: Path, **changes: Any) -> Target:
    members: dict[str, Any] = {
        "root": root, "name": "kl", "version": 1, "licence": "none", "card": "", "max_size": 64,
    }  # fmt: skip
    return Target(**members | changes)


def test_the_manifest_says_what_the_model_is(imported: Imported) -> None:
    """Sizes, scaling and the network come from the model; no path of this machine does."""
    bundle = open_bundle(imported.repository / autoencoder.NAME / "1")
    manifest = bundle.manifest

    assert (manifest.input.height, manifest.input.width) == (32, 32)
    assert manifest.input.sizes == SizesSpec(min=2, max=64, multiple=2)
    assert manifest.input.value_range == (-1.0, 1.0)
    assert manifest.latent.shape == (4, 16, 16)
    assert (manifest.latent.factor, manifest.latent.scaling, manifest.latent.shift) == (
        autoencoder.FACTOR,
        autoencoder.SCALING,
        autoencoder.SHIFT,
    )
    assert manifest.likelihood is None
    assert manifest.network["block_out_channels"] == [8, 16]
    assert "diffusers" in manifest.tools
    assert str(imported.saved.parent) not in manifest.model_dump_json()


def test_the_graphs_compute_what_torch_computes(imported: Imported) -> None:
    """At sizes and batches other than those that were exported and checked."""
    bundle = open_bundle(imported.repository / autoencoder.NAME / "1")
    model = read_model(str(imported.saved))
    rng = np.random.default_rng(3)
    for file, module, shape in (
        (ENCODER, model.encoder, (70, 3, 10, 6)),
        (ENCODER, model.encoder, (1, 3, 34, 2)),
        (DECODER, model.decoder, (70, 4, 3, 5)),
        (DECODER, model.decoder, (1, 4, 1, 17)),
    ):
        rows = rng.standard_normal(shape).astype(np.float32)
        check_parity(module, Graph(bundle.read(file)), rows, (len(rows),))


def test_the_graphs_hold_no_noise_and_no_paths(imported: Imported) -> None:
    """The posterior's mean is an output; nothing is drawn, and weights are inside the file."""
    bundle = open_bundle(imported.repository / autoencoder.NAME / "1")
    for file in (ENCODER, DECODER):
        content = bundle.read(file)
        graph = onnx.load_from_string(content).graph
        assert not {node.op_type for node in graph.node} & {
            "RandomNormal", "RandomNormalLike", "RandomUniform", "Bernoulli",
        }  # fmt: skip
        assert b"stack_trace" not in content
        assert all(not tensor.external_data for tensor in graph.initializer)


def test_a_version_that_is_there_is_kept(imported: Imported) -> None:
    """A bundle is immutable; the error says to choose another version."""
    with pytest.raises(ForeignModelError, match="choose another version"):
        import_diffusers(str(imported.saved), target(imported.repository))


@pytest.mark.parametrize("changes", [{"max_size": 63}, {"height": 31}, {"width": 128}])
def test_sizes_are_multiples_within_the_largest(
    imported: Imported, tmp_path: Path, changes: dict[str, int]
) -> None:
    """Found before anything is exported."""
    with pytest.raises(ForeignModelError, match="sizes of this model are multiples of 2"):
        import_diffusers(str(imported.saved), target(tmp_path, **changes))
    assert not list(tmp_path.iterdir())
