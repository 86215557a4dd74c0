"""Networks of one's own are built, or told what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training import runs
from training.bundle.bundle import bundle
from training.config.presets import read_config
from training.errors import ConfigError
from training.evaluation.evaluate import evaluate
from training.evaluation.posterior_means import latents
from training.evaluation.reference_bounds import reference
from training.export.graphs import export
from training.fit.custom_networks import build_vae, check_networks
from training.fit.fit import fit
from training.fit.warm_start import read_initial


def test_a_pair_of_ones_own_trains_and_starts_another(tmp_path: Path) -> None:
    """All stages take it, its bundle tells no folder, and the weights start another run."""
    first = runs.custom_config(tmp_path, "model.network.options.width=7")
    workdir = fit(first, tmp_path / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    reference(workdir.folder, console=runs.QUIET)
    latents(workdir.folder)
    made = bundle(workdir.folder)
    vae = build_vae(first.model)

    read_initial(made.folder, first.model).put_into(vae)

    assert made.manifest.latent.shape == (2, 2, 2)
    assert made.manifest.network == {
        "architecture": "custom",
        "encoder": "nets:Encoder",
        "decoder": "nets:Decoder",
        "options": {"width": 7},
        "source_sha256": first.identity()["model.network.source_sha256"],
    }
    assert vae.encoder.state_dict()["body.body.1.weight"].shape == (7, 784)


def test_a_changed_file_is_another_network(tmp_path: Path) -> None:
    """Neither `--resume` nor a later stage goes on with files that changed after `fit`."""
    workdir = fit(runs.custom_config(tmp_path), tmp_path / "run", console=runs.QUIET)
    (tmp_path / "nets.py").write_text(runs.NETS + "# another\n")
    again = read_config(
        str(tmp_path / "tiny.toml"),
        [
            "model.network.architecture=custom", "model.network.encoder=nets:Encoder",
            "model.network.decoder=nets:Decoder", "model.latent_map=[2, 2, 2]", "epochs=2",
            f"data.source={runs.MNIST}", f"data.cache={tmp_path / 'cache'}",
        ],
    )  # fmt: skip

    with pytest.raises(ConfigError, match=r"model\.network\.source_sha256 \('"):
        fit(again, tmp_path / "run", resume=True, console=runs.QUIET)
    with pytest.raises(ConfigError, match=r"nets:Encoder and nets:Decoder have changed since"):
        export(workdir.folder)


def test_options_are_part_of_the_run(tmp_path: Path) -> None:
    """An option that is changed or taken out makes another run; the folder does not."""
    whole = runs.custom_config(tmp_path, "model.network.options.width=7")
    plain = runs.custom_config(tmp_path)

    key = "model.network.options"
    assert (whole.identity()[key], plain.identity()[key]) == ('{"width": 7}', "{}")
    assert "model.network.folder" not in plain.identity()


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ("nets:Missing", r"nets\.py: has no class Missing"),
        ("nets:Plain", r"nets\.py: has no torch\.nn\.Module of the name Plain"),
        ("nets:Batch", r"body\.3 is a BatchNorm2d, which depends on the batch; use GroupNorm"),
        ("nets:Dropped", r"body\.3 is a Dropout, which is random; leave it out"),
        ("nets:Noisy", "different results for equal rows: it is random"),
        ("nets:Centred", "it depends on the batch"),
        ("nets:Shy", "different results in training"),
        ("nets:Flat", r"must return params of shape \[n, 1, 28, 28\]; with n = 3 .* \[3, 784\]$"),
        ("nets:Pair", r"it returned \[3, 1, 28, 28\], None"),
        ("nets:Broken", r"failed on \[3, 2, 2, 2\] with RuntimeError: broken on purpose"),
    ],
)
def test_what_can_not_be_exported_is_refused(tmp_path: Path, decoder: str, message: str) -> None:
    """Before any image is read, one sentence names the class and what is wrong with it."""
    broken = runs.custom_config(tmp_path, "data.source=nowhere", decoder=decoder)

    with pytest.raises(ConfigError, match=message):
        fit(broken, tmp_path / "run", console=runs.QUIET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", "can't be imported: ModuleNotFoundError: No module named"),
        ("def broken(:", "can't be imported: SyntaxError"),
        (
            runs.NETS.replace("width=helper", "*, depth, width=helper"),
            r"latent_shape\) failed with TypeE",
        ),
    ],
)
def test_files_that_can_not_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A file that can't be imported, and a class that takes other arguments, are told as such."""
    runs.custom_config(tmp_path)
    (tmp_path / "nets.py").write_text(text)
    network = '{architecture="custom", encoder="nets:Encoder", decoder="nets:Decoder"}'
    settings = runs.config(tmp_path, f"model.network={network}", "model.latent_map=[2, 2, 2]")

    with pytest.raises(ConfigError, match=message):
        check_networks(settings.model)


def test_a_missing_file_is_told_with_the_preset(tmp_path: Path) -> None:
    """A preset that names a module that is not there is refused when it is read."""
    network = '{architecture="custom", encoder="elsewhere:Encoder", decoder="elsewhere:Decoder"}'

    with pytest.raises(ConfigError, match=r"encoder: elsewhere\.py is not in "):
        runs.config(tmp_path, f"model.network={network}")


def test_the_check_leaves_the_generator_alone(tmp_path: Path) -> None:
    """Trying networks out draws nothing from what decides a run's numbers."""
    settings = runs.custom_config(tmp_path)
    before = torch.get_rng_state()

    check_networks(settings.model)

    torch.testing.assert_close(torch.get_rng_state(), before)
