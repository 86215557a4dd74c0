"""Whole files, no pickle, and never of another run."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.training import runs
from training.errors import ConfigError, StageError
from training.fit.checkpoint import (
    Checkpoint,
    Weights,
    read_checkpoint,
    read_weights,
    write_checkpoint,
    write_weights,
)
from training.fit.state import State
from training.workdir import Workdir

PRINTS = {"train": "abc"}


def checkpoint(tmp_path: Path) -> Checkpoint:
    return State(runs.config(tmp_path), torch.device("cpu")).checkpoint(PRINTS)


def test_round_trip(tmp_path: Path) -> None:
    """What was written is read back, tensor for tensor."""
    workdir, written = Workdir(tmp_path / "run"), checkpoint(tmp_path)

    write_checkpoint(workdir, written)
    read = read_checkpoint(workdir, runs.config(tmp_path), PRINTS)

    assert [field.name for field in fields(read)] == [field.name for field in fields(written)]
    assert read.identity == written.identity
    for name, tensor in written.model.items():
        torch.testing.assert_close(read.model[name], tensor, rtol=0, atol=0)


def test_another_configuration_is_named(tmp_path: Path) -> None:
    """Resuming with other settings fails with each of them, then and now."""
    workdir = Workdir(tmp_path / "run")
    write_checkpoint(workdir, checkpoint(tmp_path))
    other = runs.config(tmp_path, "epochs=99", "optimiser.beta1=0.5")

    with pytest.raises(ConfigError) as caught:
        read_checkpoint(workdir, other, PRINTS)

    message = str(caught.value)
    assert "epochs (12 then, 99 now)" in message
    assert "optimiser.beta1 (0.9 then, 0.5 now)" in message
    assert "use another workdir" in message


@pytest.mark.parametrize("override", ["threads=2", "device=cuda"])
def test_another_machine_is_named(tmp_path: Path, override: str) -> None:
    """Threads and device decide the last bits, so a run goes on with those it began with."""
    workdir = Workdir(tmp_path / "run")
    write_checkpoint(workdir, checkpoint(tmp_path))

    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        read_checkpoint(workdir, runs.config(tmp_path, override), PRINTS)


def test_options_of_ones_own_network_are_read_for_newer_settings(tmp_path: Path) -> None:
    """A run of one's own network goes on too where a setting came later."""
    config = runs.custom_config(tmp_path, "model.network.options={width=3}")
    now = config.identity()
    older = {key: value for key, value in now.items() if key != "channels_last"}
    workdir = Workdir(tmp_path / "run")
    write_checkpoint(workdir, replace(checkpoint(tmp_path), identity=older))

    assert read_checkpoint(workdir, config, PRINTS).step == 0


def test_a_checkpoint_of_another_format_is_called_so(tmp_path: Path) -> None:
    """One without what is saved today is not called damaged, but of another version."""
    workdir = Workdir(tmp_path)
    document = vars(checkpoint(tmp_path))
    del document["health"], document["cpu_seconds"]
    torch.save(document, workdir.checkpoint)

    with pytest.raises(
        StageError, match=r"checkpoint\.pt: written by another version, so this one can't"
    ):
        read_checkpoint(workdir, runs.config(tmp_path), PRINTS)


def test_other_images_are_named(tmp_path: Path) -> None:
    """Resuming on other images fails."""
    workdir = Workdir(tmp_path / "run")
    write_checkpoint(workdir, checkpoint(tmp_path))

    with pytest.raises(ConfigError, match="the images"):
        read_checkpoint(workdir, runs.config(tmp_path), {"train": "def"})


def test_what_does_not_shape_the_weights_may_change(tmp_path: Path) -> None:
    """A resumed run may read its images from elsewhere, be saved more often, and name its
    bundle anew; a setting that an older version knew is no hindrance."""
    workdir = Workdir(tmp_path / "run")
    written = checkpoint(tmp_path)
    write_checkpoint(workdir, replace(written, identity={**written.identity, "gone": 1}))
    moved = runs.config(tmp_path, "bundle.name=other", "checkpoint_steps=3", data=tmp_path)

    assert read_checkpoint(workdir, moved, PRINTS).step == 0


@pytest.mark.parametrize("value", [0, 1])
def test_a_setting_of_a_newer_version_had_its_default(tmp_path: Path, value: int) -> None:
    """A checkpoint from before a setting was known goes on with that setting's default alone."""
    workdir = Workdir(tmp_path / "run")
    written = checkpoint(tmp_path)
    identity = {key: written.identity[key] for key in written.identity if "augment" not in key}
    write_checkpoint(workdir, replace(written, identity=identity))
    now = runs.config(tmp_path, f"data.augment.shift={value}")

    if value:
        with pytest.raises(ConfigError, match=r"data\.augment\.shift \(0 then, 1 now\)"):
            read_checkpoint(workdir, now, PRINTS)
    else:
        assert read_checkpoint(workdir, now, PRINTS).step == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04nonsense"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no checkpoint is one sentence with its path."""
    workdir = Workdir(tmp_path)
    workdir.checkpoint.write_bytes(content)

    with pytest.raises(StageError, match=r"checkpoint\.pt: not a readable checkpoint"):
        read_checkpoint(workdir, runs.config(tmp_path), PRINTS)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """A pickle that would run code when loaded is refused without running it."""

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "harm"),))  # type: ignore[return-value]

    workdir = Workdir(tmp_path)
    torch.save({"step": Harmful()}, workdir.checkpoint)
    pickle.loads(pickle.dumps(Harmful()))  # noqa: S301 shows that it would
    (tmp_path / "harm").unlink()

    with pytest.raises(StageError):
        read_checkpoint(workdir, runs.config(tmp_path), PRINTS)

    assert not (tmp_path / "harm").exists()


def test_weights_round_trip(tmp_path: Path) -> None:
    """The exported weights carry their kind and step."""
    workdir = Workdir(tmp_path)
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(3, 4, 2, 2).permute(1, 0, 2, 3)}

    write_weights(workdir, Weights(tensors, "ema", 7))
    read = read_weights(workdir)

    assert (read.kind, read.step) == ("ema", 7)
    for name, tensor in tensors.items():
        torch.testing.assert_close(read.tensors[name], tensor, rtol=0, atol=0)


def test_weights_before_the_end_of_training(tmp_path: Path) -> None:
    """Without finished weights the error says which stage writes them."""
    with pytest.raises(StageError, match="run `vaetrain fit`"):
        read_weights(Workdir(tmp_path))


@pytest.mark.parametrize("damage", ["empty", "truncated", "nonsense", "bare"])
def test_damaged_weights_are_named(tmp_path: Path, damage: str) -> None:
    """A file that is no weights of a run is one sentence with its path and what to do."""
    workdir = Workdir(tmp_path)
    write_weights(workdir, Weights({"a": torch.ones(9)}, "ema", 7))
    content = {
        "empty": b"",
        "truncated": workdir.weights.read_bytes()[:-3],
        "nonsense": b"nonsense" * 9,
        "bare": save({"a": torch.ones(9)}),
    }
    workdir.weights.write_bytes(content[damage])

    with pytest.raises(
        StageError, match=r"weights\.safetensors: not readable weights .* fit --resume"
    ):
        read_weights(workdir)


def test_early_stopping_travels_along(tmp_path: Path) -> None:
    """The best epoch so far and its weights survive the checkpoint."""
    workdir = Workdir(tmp_path / "run")
    best = {"x": torch.ones(3)}
    written = replace(checkpoint(tmp_path), best_bound=-90.5, best_epoch=4, best_weights=best)

    write_checkpoint(workdir, written)
    read = read_checkpoint(workdir, runs.config(tmp_path), PRINTS)

    assert (read.best_bound, read.best_epoch) == (-90.5, 4)
    torch.testing.assert_close(read.best_weights["x"], best["x"])
