"""Graphs that compute what torch computes, and say nothing of this machine."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model import pixels
from model.config import ModelConfig
from model.likelihood import bounds
from model.networks.vae import VAE
from model.runtime import Graph
from tests.training import runs
from training.bundle.bundle import bundle
from training.data.dataset import reload_data
from training.errors import StageError
from training.evaluation.evaluate import evaluate
from training.evaluation.reference_bounds import reference
from training.export.graphs import (
    export,
    load_graphs,
    read_export,
    to_onnx,
)
from training.export.parity import check_parity
from training.fit.checkpoint import read_weights
from training.workdir import Workdir, read_json, write_json


def test_the_contract_of_the_graphs(finished: Workdir) -> None:
    """Names, types and shapes are the bundle's, and the first axis is the batch."""
    graphs = load_graphs(read_export(finished))

    assert graphs.encoder.inputs == (("image", "tensor(float)", ("batch", 1, 28, 28)),)
    assert graphs.encoder.outputs == (
        ("mean", "tensor(float)", ("batch", 4)),
        ("logvar", "tensor(float)", ("batch", 4)),
    )
    assert graphs.decoder.inputs == (("latent", "tensor(float)", ("batch", 4)),)
    assert graphs.decoder.outputs == (
        ("pixels", "tensor(float)", ("batch", 1, 28, 28)),
        ("params", "tensor(float)", ("batch", 1, 28, 28)),
    )


def test_the_graphs_are_the_trained_network(finished: Workdir) -> None:
    """The exported graphs compute what the exported weights compute in torch."""
    vae = VAE(finished.read_config().model)
    vae.load_state_dict(dict(read_weights(finished).tensors))
    graphs = load_graphs(read_export(finished))
    images = np.random.default_rng(1).random((5, 1, 28, 28), dtype=np.float32)

    mean, logvar = graphs.encoder.run(images)
    _, params = graphs.decoder.run(mean)

    with torch.no_grad():
        expected = vae.encoder(torch.from_numpy(images))
        np.testing.assert_allclose(mean, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(logvar, expected[1].numpy(), rtol=1e-4, atol=1e-5)
        logits = vae.decoder(torch.from_numpy(mean))[1].numpy()
    np.testing.assert_allclose(params, logits, rtol=1e-4, atol=1e-4)


def test_the_graphs_say_nothing_of_this_machine(finished: Workdir) -> None:
    """No path, stack trace or random node is in a graph, and all weights are inside the file."""
    for path in (finished.encoder, finished.decoder):
        content = path.read_bytes()
        model = onnx.load_from_string(content)
        assert str(runs.ROOT).encode() not in content
        assert b"stack_trace" not in content
        assert not {node.op_type for node in model.graph.node} & {
            "RandomNormal", "RandomNormalLike", "RandomUniform", "Bernoulli", "BatchNormalization",
        }  # fmt: skip
        assert all(not tensor.external_data for tensor in model.graph.initializer)


def test_parity_is_recorded(finished: Workdir) -> None:
    """The report says how far the graphs are from torch, and whether batches share bits."""
    report = read_json(finished.export)

    assert report["weights"] == {"kind": "ema", "step": 120}
    assert report["scale"] is None
    for graph, outputs in (("encoder", ["mean", "logvar"]), ("decoder", ["pixels", "params"])):
        differences = report["parity"][graph]["largest_difference"]
        assert list(differences) == outputs
        assert all(0 <= difference < 1e-3 for difference in differences.values())
        assert report["parity"][graph]["equal_bits_at_all_batch_sizes"] is True


def test_an_optimal_scale_is_fixed_by_all_training_images(copied: Workdir) -> None:
    """The export's number is the error of the exported graphs on the training images, and it is
    the one that the bounds and the bundle have."""
    document = read_json(copied.config)
    document["model"]["likelihood"] = {"family": "gaussian", "scale": "optimal"}
    document["bundle"]["version"] = 2
    write_json(copied.config, document)

    export(copied.folder)
    evaluate(copied.folder, console=runs.QUIET)
    reference(copied.folder, console=runs.QUIET)
    written = bundle(copied.folder)

    scale = read_json(copied.export)["scale"]
    assert scale == pytest.approx(_error_on_training_images(copied), rel=0.02)
    spec = written.manifest.likelihood
    assert spec is not None
    assert (spec.family, spec.scale) == ("gaussian", scale)
    assert "nats_per_dimension" in written.manifest.metrics


def _error_on_training_images(workdir: Workdir) -> float:
    """Root mean squared error at z ~ q(z|x), with other draws than the export's."""
    graphs = load_graphs(read_export(workdir))
    targets = pixels.to_float(np.asarray(reload_data(workdir, workdir.read_config()).train.images))
    mean, logvar = graphs.encoder.run(targets)
    noise = np.random.default_rng(0).standard_normal(mean.shape, dtype=np.float32)
    latents = bounds.reparameterize(mean, logvar, noise)
    params = graphs.decoder.run(latents, ["params"])[0]
    return float(np.sqrt(np.square(targets - params).mean()))


def test_the_golden_batch_is_reproduced(finished: Workdir) -> None:
    """The golden batch holds eight rows of every input and output, from onnxruntime."""
    graphs = load_graphs(read_export(finished))
    with np.load(io.BytesIO(finished.golden.read_bytes())) as golden:
        mean, logvar = graphs.encoder.run(golden["image"])
        pixels, params = graphs.decoder.run(golden["latent"])

        assert golden["image"].shape == (8, 1, 28, 28)
        assert set(np.unique(golden["image"])) == {0, 1}
        for name, output in (
            ("mean", mean), ("logvar", logvar), ("pixels", pixels), ("params", params),
        ):  # fmt: skip
            np.testing.assert_array_equal(golden[name], output)


@pytest.mark.parametrize(
    ("size", "network", "latent_map"),
    [
        ((28, 28), {"widths": (2, 3)}, None),
        ((32, 48), {"widths": (2, 3, 4)}, (2, 4, 6)),
        ((64, 64), {"widths": (2, 3), "patch": 4, "decoder_blocks": 2}, None),
        ((256, 256), {"widths": (2, 3, 3, 4), "patch": 8}, (2, 4, 4)),
    ],
)
def test_resnets_of_all_sizes_are_exported(
    size: tuple[int, int], network: dict[str, object], latent_map: tuple[int, int, int] | None
) -> None:
    """Networks from 28 to 256 pixels, with vectors and maps, pass the parity check untrained."""
    whole = {"architecture": "resnet", "blocks": 1, "hidden": 5, **network}
    sizes = {"channels": 3, "height": size[0], "width": size[1]}
    config = ModelConfig.model_validate({**sizes, "latent_map": latent_map, "network": whole})
    vae = VAE(config)
    rng = np.random.default_rng(0)
    images = rng.random((8, *config.image_shape), dtype=np.float32)
    latents = rng.standard_normal((8, *config.latent_shape), dtype=np.float32)

    encoder = Graph(to_onnx(vae.encoder, images[:2], "image", ("mean", "logvar")))
    decoder = Graph(to_onnx(vae.decoder, latents[:2], "latent", ("pixels", "params")))

    assert check_parity(vae.encoder, encoder, images)["equal_bits_at_all_batch_sizes"] is True
    assert check_parity(vae.decoder, decoder, latents)["equal_bits_at_all_batch_sizes"] is True


def test_export_needs_finished_weights(tmp_path: Path) -> None:
    """Without a finished run the error says which stage comes first."""
    with pytest.raises(StageError, match="run `vaetrain fit`"):
        export(tmp_path)
    with pytest.raises(StageError, match="run `vaetrain export`"):
        read_export(Workdir(tmp_path))


@pytest.mark.parametrize("name", ["encoder", "decoder", "golden"])
def test_a_file_other_than_what_was_exported_is_refused(copied: Workdir, name: str) -> None:
    """A file that was cut short or replaced is named with the stage that writes it anew."""
    path: Path = getattr(copied, name)
    path.write_bytes(path.read_bytes()[:20])

    with pytest.raises(
        StageError, match=rf"{path.name}: changed since export wrote it; run `vaetrain"
    ):
        read_export(copied)


def test_an_export_of_an_older_version_is_refused(copied: Workdir) -> None:
    """Without the hashes nothing vouches for the graphs, and the stage is to be run again."""
    about = read_json(copied.export)
    del about["sha256"]
    write_json(copied.export, about)

    with pytest.raises(
        StageError,
        match=r"export\.json: an older version wrote it without SHA-256 .*`vaetrain export`",
    ):
        read_export(copied)
