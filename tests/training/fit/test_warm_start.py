"""A run starts from a trained model's weights, or says why it can't."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.bundle.bundle import MANIFEST, open_bundle
from model.config import GaussianConfig, ModelConfig
from model.networks.vae import VAE
from model.runtime import Graph
from tests.conftest import Imported
from tests.training import runs
from training.__main__ import main
from training.bundle.bundle import bundle
from training.config.presets import override_config
from training.config.run import TrainingConfig
from training.errors import ConfigError
from training.evaluation.evaluate import evaluate
from training.evaluation.posterior_means import latents
from training.evaluation.reference_bounds import reference
from training.export.graphs import export
from training.fit.checkpoint import read_weights
from training.fit.fit import fit
from training.fit.warm_start import read_initial
from training.workdir import Workdir

MNIST = runs.ROOT / "model" / "bundles" / "mnist" / "3"


def bundle_of(workdir: Workdir) -> Path:
    return workdir.bundles / "digits" / "1"


def config(folder: Path, source: Path, *overrides: str) -> TrainingConfig:
    """The tiny run again, from there and for one epoch."""
    return runs.config(folder, f"init={source}", "epochs=1", *overrides)


def shipped_model(**changes: Any) -> ModelConfig:
    manifest = open_bundle(MNIST).manifest
    return ModelConfig.model_validate(
        {"network": manifest.network, "likelihood": {"family": "bernoulli"}, **changes}
    )


def test_the_shipped_bundle_gives_its_weights() -> None:
    """The network with a bundle's weights computes what the bundle's graphs compute."""
    vae = VAE(shipped_model())
    drawn = np.random.default_rng(0).standard_normal((5, 32), dtype=np.float32)

    read_initial(MNIST, vae.config).put_into(vae)

    expected = Graph((MNIST / "decoder.onnx").read_bytes()).run(drawn, ["params"])[0]
    with torch.no_grad():
        found = vae.decoder(torch.from_numpy(drawn))[1].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["bundle", "workdir", "weights"])
def test_all_kinds_hold_the_same_weights(finished: Workdir, kind: str) -> None:
    """A run's bundle, its workdir and its file of weights start another one alike."""
    source = {
        "bundle": bundle_of(finished), "workdir": finished.folder, "weights": finished.weights,
    }[kind]  # fmt: skip
    vae = VAE(finished.read_config().model)

    read_initial(source, vae.config).put_into(vae)

    for name, tensor in read_weights(finished).tensors.items():
        torch.testing.assert_close(vae.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 32}, r"of another model, .*: height \(28 there, 32 here\)"),
        ({"latent_dim": 8}, r"latent \(\[32\] there, \[8\] here\)"),
        ({"likelihood": {"family": "gaussian"}}, r"likelihood\.family \('bernoulli' there"),
        (
            {"network": {"architecture": "conv", "widths": [16, 64]}},
            r"network\.widths \(\[16, 32\] there, \[16, 64\] here\)",
        ),
        ({"network": {"architecture": "mlp"}}, r"network\.architecture \('conv' there, 'mlp' here"),
    ],
)
def test_another_model_is_refused(changes: dict[str, Any], message: str) -> None:
    """Sizes, network and likelihood must be the bundle's; what differs is named with its values."""
    with pytest.raises(ConfigError, match=message):
        read_initial(MNIST, shipped_model(**changes))


def test_a_network_that_computes_something_else_is_refused() -> None:
    """Where every name and shape fits, the golden batch still tells another network."""
    initial = read_initial(MNIST, shipped_model())
    vae = VAE(shipped_model())
    assert isinstance(vae.decoder.body, torch.nn.Sequential)
    vae.decoder.body[5] = torch.nn.Tanh()

    differs = r"golden batch: differs from its params by [0-9.]+, allowed is [0-9.]+"
    with pytest.raises(ConfigError, match=differs):
        initial.put_into(vae)


def test_an_imported_model_is_refused(imported: Imported) -> None:
    """What diffusers trained is no start for a network of ours."""
    with pytest.raises(ConfigError, match="does not describe a trainable network"):
        read_initial(imported.repository / "kl" / "1", ModelConfig())


def test_a_damaged_bundle_is_refused(finished: Workdir, tmp_path: Path) -> None:
    """A bundle whose files are not what its manifest says gives no weights."""
    copy = shutil.copytree(bundle_of(finished), tmp_path / "1")
    (copy / "decoder.onnx").write_bytes(b"no graph")

    with pytest.raises(ConfigError, match=r"decoder\.onnx: 8 bytes, manifest\.json says"):
        read_initial(copy, finished.read_config().model)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    """A missing path, an empty folder and a file of something else are told with the reason."""
    (tmp_path / "notes.txt").write_text("no weights")
    for source in (tmp_path / "nothing", tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ConfigError, match="not a readable bundle, workdir or safetensors file"):
            read_initial(source, ModelConfig())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda names: names.popitem(),
            r"than this model: \w+\.body\.\S+ \(None there, \[",
        ),
        (
            lambda names: names.update({"encoder.more": torch.zeros(1)}),
            r"encoder\.more \(\[1\] there, None here\)",
        ),
        (
            lambda names: names.update({"decoder.body.0.bias": torch.zeros(3)}),
            r"decoder\.body\.0\.bias \(\[3\] there, \[64\] here\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    finished: Workdir, tmp_path: Path, change: Any, message: str
) -> None:
    """A file of weights has exactly the networks' names and shapes."""
    vae = VAE(finished.read_config().model)
    weights = dict(vae.state_dict())
    change(weights)
    save_file(weights, tmp_path / "some.safetensors")

    with pytest.raises(ConfigError, match=message):
        read_initial(tmp_path / "some.safetensors", vae.config).put_into(vae)


def test_a_learned_scale_starts_from_the_bundles() -> None:
    """The manifest's scale becomes that of the network; a fixed one stays as it is set."""
    learned, fixed = (
        VAE(ModelConfig(likelihood=GaussianConfig(scale=scale))) for scale in ("learned", 0.5)
    )
    for vae in (learned, fixed):
        vae.start_scale(0.125)

    assert learned.scale_value() == pytest.approx(0.125)
    assert fixed.scale_value() == 0.5


def test_a_run_goes_on_from_a_bundle(finished: Workdir, tmp_path: Path) -> None:
    """Averaged weights and all begin at the bundle's: one epoch more has the bound of the end, and
    the new bundle says what it started from."""
    source = bundle_of(finished)
    workdir = fit(config(tmp_path, source), tmp_path / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    reference(workdir.folder, console=runs.QUIET)
    latents(workdir.folder)
    made = bundle(workdir.folder)

    before, after = (
        json.loads(one.log.read_text("utf-8").splitlines()[index])
        for one, index in ((finished, 0), (workdir, -1))
    )
    assert after["elbo"] > before["elbo"] + 20
    assert made.manifest.objective["init"] == {
        "kind": "bundle",
        "name": "digits",
        "version": 1,
        "sha256": hashlib.sha256((source / MANIFEST).read_bytes()).hexdigest(),
    }


def test_the_command_takes_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--init` is read before the images are, and what it can't use is a sentence."""
    arguments = ["fit", str(runs.preset(tmp_path)), "--workdir", str(tmp_path / "run")]

    status = main([*arguments, "--data", str(tmp_path / "none"), "--init", str(MNIST)])

    assert status == 2
    assert "is of another model" in capsys.readouterr().err


def test_resume_takes_the_same_start(finished: Workdir, tmp_path: Path) -> None:
    """A run that started from a bundle is not resumed from another start, nor from none."""
    begun = config(tmp_path, bundle_of(finished))
    fit(begun, tmp_path / "run", console=runs.QUIET)

    moved = shutil.copytree(bundle_of(finished), tmp_path / "moved" / "1")
    elsewhere = override_config(begun, [f"init={moved}"])
    fit(elsewhere, tmp_path / "run", resume=True, console=runs.QUIET)
    for other in (config(tmp_path, finished.weights), runs.config(tmp_path, "epochs=1")):
        with pytest.raises(ConfigError, match=r"the weights that it started from \(--init\)"):
            fit(other, tmp_path / "run", resume=True, console=runs.QUIET)


def test_a_path_with_a_nul_is_no_start() -> None:
    """It is told like any other path that holds nothing."""
    with pytest.raises(ConfigError, match="not a readable bundle, workdir or safetensors file"):
        read_initial(Path("a\0b"), shipped_model())


@pytest.mark.parametrize(
    ("name", "told"),
    [("golden.npz", "not an archive of arrays"), ("encoder.onnx", "the graph's weights")],
)
def test_a_damaged_file_of_a_bundle_is_named(tmp_path: Path, name: str, told: str) -> None:
    """The right hash is not enough: garbage ends with one sentence."""
    folder = tmp_path / "mnist" / "1"
    shutil.copytree(MNIST, folder)
    (folder / name).write_bytes(b"garbage")
    document = json.loads((folder / MANIFEST).read_bytes())
    entry = {"sha256": hashlib.sha256(b"garbage").hexdigest(), "bytes": 7}
    document["files"][name] = entry
    (folder / MANIFEST).write_text(json.dumps(document))

    with pytest.raises(ConfigError, match=rf"{name}: {told}"):
        read_initial(folder, shipped_model())


def test_a_golden_batch_of_other_shapes_is_told() -> None:
    """One that the network can't take is another network's."""
    start = read_initial(MNIST, shipped_model())
    golden = {name: array[..., :1] for name, array in (start.golden or {}).items()}

    with pytest.raises(ConfigError, match="golden batch"):
        replace(start, golden=golden).put_into(VAE(shipped_model()))
