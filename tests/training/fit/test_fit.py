"""The bound rises, and a run that was stopped ends as if it had not been."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.limits import file_size_limit
from tests.training import runs
from training.config.run import TrainingConfig
from training.data.minibatches import Minibatches
from training.errors import (
    ConfigError,
    DiskError,
    DivergedError,
    InterruptedTrainingError,
    NotFiniteError,
    StageError,
)
from training.fit.checkpoint import read_weights
from training.fit.fit import fit
from training.fit.state import State
from training.workdir import Workdir, read_json

MID_EPOCH = 25
"""With 10 steps an epoch."""

HANG = f"""
import sys, time
from pathlib import Path
from training.__main__ import main
from training.data.minibatches import Minibatches
original = Minibatches.__getitem__
def hang(self, step):
    if step == {MID_EPOCH}:
        Path(sys.argv[1]).touch()
        time.sleep(600)
    return original(self, step)
Minibatches.__getitem__ = hang
main(sys.argv[2:])
"""


def log(workdir: Workdir) -> list[dict[str, Any]]:
    """metrics.jsonl without what the clock decides."""
    lines = [json.loads(line) for line in workdir.log.read_text().splitlines()]
    clock = ("seconds", "cpu_seconds", "images_per_second")
    return [{key: line[key] for key in line if key not in clock} for line in lines]


def state(workdir: Workdir) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(workdir.checkpoint, weights_only=True)
    return found


def assert_same_run(one: Workdir, other: Workdir) -> None:
    """Weights, average, optimiser, counters, exported weights and metrics have the same bits."""
    first, second = state(one), state(other)
    for key in ("model", "ema", "optimiser", "totals", "best_weights"):
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
    for key in (
        *("step", "best_bound", "best_epoch", "best_step", "identity", "fingerprints", "health"),
    ):
        assert first[key] == second[key]
    exported, again = read_weights(one), read_weights(other)
    assert (exported.kind, exported.step) == (again.kind, again.step)
    torch.testing.assert_close(dict(exported.tensors), dict(again.tensors), rtol=0, atol=0)
    assert log(one) == log(other)


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends this process a SIGINT when the run comes to `step`."""
    original = Minibatches.__getitem__

    def interrupting(self: Minibatches, wanted: int) -> torch.Tensor:
        if wanted == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, wanted)

    monkeypatch.setattr(Minibatches, "__getitem__", interrupting)


def test_the_bound_rises(finished: Workdir) -> None:
    """A few seconds on some hundred real images raise the bound far above its start."""
    bounds = [line["elbo"] for line in log(finished)]

    assert len(bounds) == 12
    assert bounds[-1] > -200 > bounds[0]
    assert all(
        line["elbo"] == pytest.approx(line["log_likelihood"] - line["kl"]) for line in log(finished)
    )


def test_a_run_describes_itself(finished: Workdir) -> None:
    """Configuration, fingerprints, versions and machine are files of the workdir."""
    run = read_json(finished.run)
    weights = read_weights(finished)

    assert finished.read_config().bundle.name == "digits"
    assert run["pictures"] == {"train": 400, "validation": 0, "test": 100}
    assert (run["steps"], run["threads"], run["precision"]) == (120, 1, "float32")
    assert run["total_steps"] == 120
    assert run["seconds"] > 0
    assert run["cpu_seconds"] > 0
    assert set(run["machine"]) == {"system", "processor", "cores", "accelerator"}
    assert set(run["fingerprints"]) == {"train", "test"}
    assert "torch" in run["tools"]
    assert (weights.kind, weights.step) == ("ema", 120)
    assert list(finished.tensorboard.glob("events.*"))


def test_two_runs_are_the_same_run(finished: Workdir, tmp_path: Path) -> None:
    """The same configuration gives the same bits again."""
    again = fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    assert_same_run(finished, again)


def test_another_seed_is_another_run(finished: Workdir, tmp_path: Path) -> None:
    """The seed changes the weights."""
    other = fit(runs.config(tmp_path, "seed=1", "epochs=1"), tmp_path / "run", console=runs.QUIET)

    assert log(other)[0]["elbo"] != log(finished)[0]["elbo"]


def test_interrupted_and_resumed_equals_straight_through(
    finished: Workdir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stopped in the middle of an epoch and resumed ends with the same bits."""
    config = runs.config(tmp_path)
    with monkeypatch.context() as patch:
        interrupt_at(MID_EPOCH, patch)
        with pytest.raises(InterruptedTrainingError, match="SIGINT after step 26 of 120") as caught:
            fit(config, tmp_path / "run", console=runs.QUIET)
    assert caught.value.exit_code == 130
    assert state(Workdir(tmp_path / "run"))["step"] == MID_EPOCH + 1

    resumed = fit(config, tmp_path / "run", resume=True, console=runs.QUIET)

    assert_same_run(finished, resumed)


@pytest.mark.parametrize("checkpoint_steps", [0, 7])
def test_killed_and_resumed_equals_straight_through(
    finished: Workdir, tmp_path: Path, checkpoint_steps: int
) -> None:
    """A process killed in the middle of an epoch and resumed ends with the same bits.

    Its last checkpoint is the epoch's, or one of those between.
    """
    arguments = [
        "fit", runs.preset(tmp_path), "--workdir", tmp_path / "run", "--data", runs.MNIST,
        "--set", f"data.cache={tmp_path / 'cache'}",
        "--set", f"checkpoint_steps={checkpoint_steps}",
    ]  # fmt: skip
    reached = tmp_path / "reached"
    command = [sys.executable, "-c", HANG, str(reached), *map(str, arguments)]
    with subprocess.Popen(command, cwd=runs.ROOT, stderr=subprocess.DEVNULL) as process:
        wait_for(reached, process)
        process.kill()
    workdir = Workdir(tmp_path / "run")
    assert process.returncode == -signal.SIGKILL
    assert state(workdir)["step"] == (21 if checkpoint_steps else 20)
    assert not workdir.weights.exists()

    with runs.vaetrain(*arguments, "--resume") as resumed:
        _, errors = resumed.communicate()

    assert resumed.returncode == 0, errors
    reference = finished
    if checkpoint_steps:
        config = runs.config(tmp_path, f"checkpoint_steps={checkpoint_steps}")
        reference = fit(config, tmp_path / "straight", console=runs.QUIET)
    assert_same_run(reference, workdir)


def wait_for(path: Path, process: subprocess.Popen[Any]) -> None:
    """Waits until the process has made the file, and fails if it ends before."""
    while not path.exists():
        assert process.poll() is None
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def test_resume_without_a_checkpoint_begins(finished: Workdir, tmp_path: Path) -> None:
    """A run that was killed before its first checkpoint starts anew with --resume."""
    begun = fit(runs.config(tmp_path), tmp_path / "run", resume=True, console=runs.QUIET)

    assert_same_run(finished, begun)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    """Resuming after the last step only writes the same weights again."""
    config = runs.config(tmp_path, "epochs=1")
    workdir = fit(config, tmp_path / "run", console=runs.QUIET)
    before, lines = read_weights(workdir), log(workdir)

    fit(config, tmp_path / "run", resume=True, console=runs.QUIET)

    # Not the files' bytes: safetensors puts its header's fields in any order.
    after = read_weights(workdir)
    assert (after.kind, after.step) == (before.kind, before.step)
    torch.testing.assert_close(dict(after.tensors), dict(before.tensors), rtol=0, atol=0)
    assert log(workdir) == lines


def test_a_tuned_run_resumes_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped amid its importance-weighted epochs and resumed, it ends as one that was not."""
    config = runs.config(
        tmp_path, "epochs=1", "tuning.epochs=2", "tuning.samples=3", "objective.gradient=path"
    )
    straight = fit(config, tmp_path / "straight", console=runs.QUIET)
    with monkeypatch.context() as patch:
        interrupt_at(14, patch)
        with pytest.raises(InterruptedTrainingError, match="after step 15 of 30"):
            fit(config, tmp_path / "run", console=runs.QUIET)

    resumed = fit(config, tmp_path / "run", resume=True, console=runs.QUIET)

    assert_same_run(straight, resumed)
    assert [line["epoch"] for line in log(resumed)] == [1, 2, 3]


def test_a_run_is_not_overwritten(finished: Workdir, tmp_path: Path) -> None:
    """A workdir that holds a run is refused, with both ways out."""
    with pytest.raises(StageError, match="continue it with --resume, or use another workdir"):
        fit(runs.config(tmp_path), finished.folder, console=runs.QUIET)


def test_resume_with_other_settings_is_refused(finished: Workdir, tmp_path: Path) -> None:
    """Resuming with another configuration fails before anything is written."""
    before = finished.config.read_bytes()

    with pytest.raises(ConfigError, match=r"batch_size \(40 then, 41 now\)"):
        fit(
            runs.config(tmp_path, "batch_size=41"), finished.folder, resume=True, console=runs.QUIET
        )

    assert finished.config.read_bytes() == before


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a checkpoint can't be written, the one before stays whole, and the run can go on."""
    config = runs.config(tmp_path, "epochs=4")
    with monkeypatch.context() as patch:
        interrupt_at(MID_EPOCH, patch)
        with pytest.raises(InterruptedTrainingError):
            fit(config, tmp_path / "run", console=runs.QUIET)
    workdir = Workdir(tmp_path / "run")

    with file_size_limit(200_000), pytest.raises(DiskError, match=r"checkpoint\.pt: not written"):
        fit(config, tmp_path / "run", resume=True, console=runs.QUIET)

    assert state(workdir)["step"] == MID_EPOCH + 1
    resumed = fit(config, tmp_path / "run", resume=True, console=runs.QUIET)
    assert_same_run(fit(config, tmp_path / "straight", console=runs.QUIET), resumed)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    """Overflow ends the run with what to change; no broken checkpoint is left."""
    config = runs.config(tmp_path, "optimiser.learning_rate=1e18", "optimiser.warmup_steps=0")

    with pytest.raises(NotFiniteError, match=r"step \d+: .*Lower optimiser\.learning_rate"):
        fit(config, tmp_path / "run", console=runs.QUIET)

    assert not Workdir(tmp_path / "run").checkpoint.exists()


def test_overflow_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that overflows later leaves the checkpoint of the last good epoch."""
    original = Minibatches.__getitem__

    def overflowing(self: Minibatches, step: int) -> torch.Tensor:
        return original(self, step) * (torch.inf if step == MID_EPOCH else 1)

    monkeypatch.setattr(Minibatches, "__getitem__", overflowing)

    with pytest.raises(NotFiniteError, match=r"step 25: .* checkpoint, of step 20, is kept"):
        fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    kept = state(Workdir(tmp_path / "run"))
    assert kept["step"] == 20
    assert all(bool(tensor.isfinite().all()) for tensor in kept["model"].values())


def flooded_after(step: int, monkeypatch: pytest.MonkeyPatch, until: int = sys.maxsize) -> None:
    """From `step` on the images are other than any before: finite, and far too bright."""
    original = Minibatches.__getitem__

    def flooded(self: Minibatches, wanted: int) -> torch.Tensor:
        return original(self, wanted) - (1e4 if step <= wanted < until else 0)

    monkeypatch.setattr(Minibatches, "__getitem__", flooded)


def test_an_exploding_loss_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that jumps and stays, though finite, ends the run after a tenth of its steps with
    what to change; the checkpoint is the one before, and the report of it is kept."""
    flooded_after(78, monkeypatch)

    with pytest.raises(DivergedError, match=r"step 89: .* for 12 steps; .* of step 70, is kept"):
        fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    workdir = Workdir(tmp_path / "run")
    kept = state(workdir)
    assert kept["step"] == 70
    assert kept["health"]["steadiness"]["beyond"] == 0
    (warning,) = (json.loads(line) for line in workdir.warnings.read_text().splitlines())
    assert warning["code"] == "stopped"
    assert "lower optimiser.learning_rate" in warning["text"]


def test_a_loss_that_comes_back_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints wait while the loss is beyond its range, and one follows when it is back."""
    flooded_after(79, monkeypatch, until=81)
    saved = []
    monkeypatch.setattr(
        "training.fit.fit.write_checkpoint", lambda _, checkpoint: saved.append(checkpoint.step)
    )

    fit(runs.config(tmp_path, "epochs=10"), tmp_path / "run", console=runs.QUIET)

    assert saved[:7] == [10, 20, 30, 40, 50, 60, 70]
    assert 80 < saved[7] < 90
    assert saved[-1] == 100


def test_an_explosion_at_the_end_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose last steps lie beyond the range ends as a failure, without their weights."""
    flooded_after(115, monkeypatch)

    with pytest.raises(DivergedError, match="of step 110, is kept"):
        fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    assert state(Workdir(tmp_path / "run"))["step"] == 110
    assert not Workdir(tmp_path / "run").weights.exists()


def test_weights_that_overflowed_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An infinite weight after the last step of an epoch never gets into a checkpoint."""
    original = State.average

    def overflowing(self: State) -> None:
        original(self)
        if self.step == 29:  # the step at hand is not counted yet
            next(self.vae.parameters()).data[0, 0] = torch.inf

    monkeypatch.setattr(State, "average", overflowing)

    with pytest.raises(NotFiniteError, match=r"step 30: a weight is infinite .* of step 20"):
        fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    assert state(Workdir(tmp_path / "run"))["step"] == 20


def early_stopping(tmp_path: Path) -> TrainingConfig:
    """A configuration whose validation bound soon gets worse."""
    return runs.config(
        tmp_path,
        "data.validation_share=0.5",
        "early_stop=2",
        "epochs=60",
        "optimiser.learning_rate=0.05",
    )


def test_early_stop_exports_the_best_epoch(tmp_path: Path) -> None:
    """Training ends when the validation bound stops rising, with the best epoch's weights."""
    workdir = fit(early_stopping(tmp_path), tmp_path / "run", console=runs.QUIET)

    lines = log(workdir)
    bounds = [line["validation_elbo"] for line in lines]
    best = bounds.index(max(bounds))
    assert len(lines) == best + 3 < 60
    assert read_weights(workdir).step == lines[best]["step"]
    resumed = fit(early_stopping(tmp_path), tmp_path / "run", resume=True, console=runs.QUIET)
    assert log(resumed) == lines


def test_colour_images_with_a_learned_scale(tmp_path: Path) -> None:
    """A folder of colour images trains a conv network whose Gaussian scale finds its value."""
    folder = runs.write_images(tmp_path / "pictures", 40)
    config = runs.config(
        tmp_path,
        "model={channels=3, height=16, width=20, latent_dim=4, "
        'network={architecture="conv", widths=[4, 8], hidden=16}, likelihood={family="gaussian"}}',
        "epochs=30",
        "batch_size=12",
        data=folder,
    )

    workdir = fit(config, tmp_path / "run", console=runs.QUIET)

    first, last = log(workdir)[0], log(workdir)[-1]
    assert last["elbo"] > first["elbo"]
    assert last["scale"] < 0.7 * first["scale"]
    assert read_json(workdir.run)["pictures"] == {"train": 36, "validation": 0, "test": 4}


@pytest.mark.parametrize(
    ("likelihood", "names"),
    [
        ('{family="logistic"}', ["scale_red", "scale_green", "scale_blue"]),
        ('{family="gaussian", scale="optimal"}', ["scale"]),
    ],
)
def test_scales_that_find_their_value(tmp_path: Path, likelihood: str, names: list[str]) -> None:
    """The bound rises, on images held back too, and the scales that are told shrink with the
    error."""
    folder = runs.write_images(tmp_path / "pictures", 60, size=(8, 8))
    config = runs.config(
        tmp_path,
        "model={channels=3, height=8, width=8, latent_dim=2, "
        f'network={{architecture="mlp", hidden=[32]}}, likelihood={likelihood}}}',
        "epochs=30",
        "batch_size=12",
        "data.validation_share=0.2",
        data=folder,
    )

    workdir = fit(config, tmp_path / "run", console=runs.QUIET)

    first, last = log(workdir)[0], log(workdir)[-1]
    assert last["elbo"] > first["elbo"]
    assert last["validation_elbo"] > first["validation_elbo"]
    assert [name for name in last if name.startswith("scale")] == names
    assert sum(last[name] for name in names) < sum(first[name] for name in names)


def test_augmented_images_train_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with augmentation that was stopped and resumed ends with the same bits, its settings
    in the configuration, and other weights than without."""
    config = runs.config(tmp_path, "data.augment={flip=0.5, shift=1}", "epochs=4")
    straight = fit(config, tmp_path / "straight", console=runs.QUIET)
    with monkeypatch.context() as patch:
        interrupt_at(MID_EPOCH, patch)
        with pytest.raises(InterruptedTrainingError):
            fit(config, tmp_path / "run", console=runs.QUIET)

    resumed = fit(config, tmp_path / "run", resume=True, console=runs.QUIET)

    assert_same_run(straight, resumed)
    plain = fit(runs.config(tmp_path, "epochs=4"), tmp_path / "plain", console=runs.QUIET)
    assert log(plain)[-1]["elbo"] != log(straight)[-1]["elbo"]


def test_bfloat16_trains(tmp_path: Path) -> None:
    """Mixed precision raises the bound too, and the weights stay float32."""
    config = runs.config(tmp_path, "precision=bfloat16", "epochs=4")

    workdir = fit(config, tmp_path / "run", console=runs.QUIET)

    bounds = [line["elbo"] for line in log(workdir)]
    assert bounds[-1] > bounds[0]
    assert {tensor.dtype for tensor in read_weights(workdir).tensors.values()} == {torch.float32}


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    """Skipped images and the sizes of the splits are told at the start."""
    folder = runs.write_images(tmp_path / "pictures", 12, mode="L", size=(28, 28))
    (folder / "broken.png").write_text("no image")
    told = io.StringIO()
    config = runs.config(tmp_path, "data.skip_unreadable=true", "epochs=1", data=folder)

    fit(config, tmp_path / "run", console=Console(file=told))

    assert "left out, unreadable: " in told.getvalue()
    assert "broken.png" in told.getvalue()
    assert "11 images to train on, 0 to validate, 1 to test" in told.getvalue()
