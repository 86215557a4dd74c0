"""torch runs the very weights of the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.exported import SHIPPED
from benchmarks.servers.baseline import OnnxNetworks, Shapes
from benchmarks.servers.torch_networks import TorchNetworks, vae_of
from tests import arithmetic_bundle


def test_torch_computes_what_the_graphs_do() -> None:
    """Pixels and posteriors agree to float32's accuracy."""
    latents = Shapes(SHIPPED).latents(3, seed=1)
    rebuilt, exported = TorchNetworks(SHIPPED, threads=1), OnnxNetworks(SHIPPED, threads=1)
    pixels = exported.decode(latents)
    assert np.allclose(rebuilt.decode(latents), pixels, atol=1e-4)
    for ours, theirs in zip(rebuilt.encode(pixels), exported.encode(pixels), strict=True):
        assert np.allclose(ours, theirs, atol=1e-4)


def test_a_graph_that_is_no_network_of_ours_is_refused(tmp_path: Path) -> None:
    """A bundle whose graphs were not exported from the network it describes is named."""
    network = {"architecture": "mlp", "hidden": [8]}
    bundle = arithmetic_bundle.write(tmp_path, network=network)
    with pytest.raises(ValueError, match=r"encoder\.onnx: has no weights named body"):
        vae_of(bundle.folder)


def test_a_bundle_that_describes_no_network_is_refused(tmp_path: Path) -> None:
    """Without a description there is nothing to rebuild."""
    bundle = arithmetic_bundle.write(tmp_path, network={})
    with pytest.raises(ValueError, match="describes no network"):
        vae_of(bundle.folder)
