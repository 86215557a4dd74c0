"""One command a stage, one sentence an error."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from model.bundle.bundle import open_bundle
from tests.training import runs
from training.__main__ import main
from training.cli.stages import STAGES
from training.workdir import Workdir, read_json


def test_run_makes_a_bundle_of_a_folder_of_colour_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command trains on a plain folder with a preset of one's own and leaves a bundle; the
    same command with --resume finds everything done."""
    folder = runs.write_images(tmp_path / "pictures", 24)
    preset = tmp_path / "mine.toml"
    preset.write_text(
        """
        epochs = 2
        batch_size = 8
        [model]
        channels = 3
        height = 16
        width = 20
        latent_dim = 3
        network = { architecture = "conv", widths = [4, 8], hidden = 8 }
        likelihood = { family = "gaussian" }
        [evaluation]
        samples = 3
        [bundle]
        name = "mine"
        """
    )

    arguments = [
            "run", str(preset), "--data", str(folder), "--workdir", str(tmp_path / "run"),
            "--seed", "3", "--threads", "1", "--device", "cpu",
            "--set", f"data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    status = main(arguments)

    manifest = open_bundle(tmp_path / "run" / "bundles" / "mine" / "1").manifest
    assert status == 0, capsys.readouterr().err
    assert manifest.input.channels == 3
    assert manifest.likelihood is not None
    assert manifest.likelihood.scale is not None
    assert manifest.data.id == "pictures"
    assert manifest.objective["seed"] == 3
    assert "nats_per_dimension" in manifest.metrics
    capsys.readouterr()
    assert main([*arguments, "--resume"]) == 0
    assert "there already, and the same" in capsys.readouterr().err


def test_a_stage_can_be_run_again_alone(copied: Workdir) -> None:
    """Each stage after training works on the files of a workdir, and gives the same graphs."""
    before = copied.encoder.read_bytes()
    copied.encoder.unlink()

    assert main(["export", "--workdir", str(copied.folder)]) == 0
    assert main(["bundle", "--workdir", str(copied.folder), "--set", "bundle.version=9"]) == 0

    assert copied.encoder.read_bytes() == before
    assert open_bundle(copied.bundles / "digits" / "9").manifest.version == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nothing"], "neither a preset"),
        (["fit", "mnist", "--set", "epoch=1"], "epoch: unknown key"),
        (["fit", "mnist", "--seed", "-1"], "with --seed -1: seed: "),
        (["fit", "mnist", "--data", "123"], "123: neither a folder nor a hub name"),
        (["fit", "mnist", "--data", "'x'"], "'x': neither a folder nor a hub name"),
        (["fit", "mnist", "--data", "/nowhere"], "neither a folder nor a hub name"),
        (["evaluate", "--workdir", "/nowhere"], "run `vaetrain fit`"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in usage or data ends with status 2 and one line on stderr, not a traceback."""
    if arguments[0] == "fit":
        arguments = [*arguments, "--workdir", str(tmp_path / "run")]

    status = main(arguments)

    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("vaetrain: ")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("stage", "damaged", "again"),
    [
        ("export", "run.json", "fit PRESET --resume"),
        ("export", "config.json", "config.json"),
        ("export", "weights.safetensors", "fit --resume"),
        ("evaluate", "run.json", "fit PRESET --resume"),
        ("evaluate", "export.json", "export"),
        ("evaluate", "encoder.onnx", "export"),
        ("figures", "metrics.json", "evaluate"),
        ("figures", "metrics.jsonl", "fit PRESET --resume"),
        ("figures", "posterior.npz", "evaluate"),
        ("bundle", "run.json", "fit PRESET --resume"),
        ("bundle", "export.json", "export"),
        ("bundle", "metrics.json", "evaluate"),
        ("bundle", "encoder.onnx", "export"),
        ("bundle", "golden.npz", "export"),
        ("bundle", "reference.npz", "reference"),
        ("bundle", "reference.json", "reference"),
        ("reference", "decoder.onnx", "export"),
    ],
)
@pytest.mark.parametrize("length", [0, 20])
def test_a_damaged_file_is_named_with_the_stage_to_run_again(
    stage: str,
    damaged: str,
    again: str,
    length: int,
    copied: Workdir,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file of a stage before that was cut short ends with status 2 and one sentence."""
    path = copied.folder / damaged
    path.write_bytes(path.read_bytes()[:length])

    assert main([stage, "--workdir", str(copied.folder)]) == 2

    error = capsys.readouterr().err
    assert str(path) in error
    assert again in error
    assert "Traceback" not in error


def test_an_empty_folder_leaves_no_run(tmp_path: Path) -> None:
    """Images that can't be used are found before anything is written."""
    (tmp_path / "empty").mkdir()

    status = main(
        ["fit", "mnist", "--data", str(tmp_path / "empty"), "--workdir", str(tmp_path / "run")]
    )

    assert status == 2
    assert not (tmp_path / "run").exists()


def test_a_single_image_leaves_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few images are found before training, and not after it."""
    folder = runs.write_images(tmp_path / "pictures", 1, mode="L", size=(28, 28))
    arguments = [
        "fit", str(runs.preset(tmp_path)), "--data", str(folder),
        "--workdir", str(tmp_path / "run"), "--set", f"data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip

    assert main(arguments) == 2

    assert "too few: add images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_unknown_commands_and_options_show_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """What argparse does not know ends with status 2 and the usage."""
    with pytest.raises(SystemExit) as caught:
        main(["fly"])

    assert caught.value.code == 2
    assert "usage: vaetrain" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["evaluate", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 0
    assert "usage: vaetrain" in capsys.readouterr().out


def test_every_stage_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help lists fit, run and every stage between them."""
    with pytest.raises(SystemExit):
        main(["--help"])

    listed = capsys.readouterr().out
    for name in ("fit", "run", *STAGES):
        assert f"    {name} " in listed


def test_ctrl_c_leaves_a_checkpoint_and_status_130(tmp_path: Path) -> None:
    """A real process that gets SIGINT ends at once, with a checkpoint that `--resume` takes."""
    arguments = [
        "fit", runs.preset(tmp_path), "--workdir", tmp_path / "run", "--data", runs.MNIST,
        "--set", f"data.cache={tmp_path / 'cache'}", "--set", "epochs=100000",
    ]  # fmt: skip
    workdir = Workdir(tmp_path / "run")
    with runs.vaetrain(*arguments) as process:
        wait_for(workdir.checkpoint, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert process.returncode == 130, errors
    assert "stopped by SIGINT after step" in errors
    assert "continue with --resume" in errors
    assert "Traceback" not in errors
    with runs.vaetrain(*arguments, "--resume") as resumed:
        before = workdir.checkpoint.stat().st_mtime_ns
        wait_for(workdir.checkpoint, resumed, newer_than=before)
        resumed.send_signal(signal.SIGTERM)
        resumed.communicate()
    assert resumed.returncode == 128 + signal.SIGTERM


def wait_for(path: Path, process: subprocess.Popen[str], *, newer_than: int = 0) -> None:
    """Waits until the file is there and new, and fails if the process ends before."""
    while not path.exists() or path.stat().st_mtime_ns <= newer_than:
        assert process.poll() is None
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def test_the_configuration_of_the_command_line_is_kept(finished: Workdir) -> None:
    """The workdir holds the configuration that was used, overrides included."""
    assert read_json(finished.config)["threads"] == 1
