"""Trials are made once, whatever stops the sweep, and the best is named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training import runs
from tests.training.fit.test_fit import interrupt_at, wait_for
from training.__main__ import main
from training.config.run import TrainingConfig
from training.data.dataset import load_data
from training.errors import ConfigError, DivergedError, InterruptedTrainingError
from training.sweep.spec import Sweep, read_sweep, require_comparable
from training.sweep.summary import Ended
from training.sweep.sweep import run_sweep
from training.workdir import Workdir, read_json, write_json

TINY = """
epochs = 2
data.validation_share = 0.2
"""

HANG = """
import sys, time
from pathlib import Path
from training.__main__ import main
from training.data.minibatches import Minibatches
original = Minibatches.__getitem__
started = []
def hang(self, step):
    started.append(step == 0)
    if sum(started) == 2 and step == 12:
        Path(sys.argv[1]).touch()
        time.sleep(600)
    return original(self, step)
Minibatches.__getitem__ = hang
main(sys.argv[2:])
"""
"""In the second trial's second epoch; an epoch has 8 steps."""


def write(folder: Path, text: str, common: str = TINY) -> Path:
    """A sweep's file over the tiny preset."""
    path = folder / "sweep.toml"
    settings = f'data.source = "{runs.MNIST}"\ndata.cache = "{folder / "cache"}"\n{common}'
    path.write_text(f'preset = "{runs.preset(folder)}"\n{text}\n[set]\n{settings}')
    return path


def sweep(folder: Path, text: str, common: str = TINY) -> Sweep:
    return read_sweep(write(folder, text, common))


SEARCH = """
search = "tpe"
trials = 4
[vary]
batch_size = [40, 50]
optimiser.learning_rate = { low = 1e-3, high = 1e-2, log = true }
model.latent_dim = { low = 2, high = 6, step = 2 }
"""
GRID = 'search = "grid"\n[vary]\nmodel.network.hidden = [[8], [16, 8]]\nseed = [1, 2]\n'


def figures(ended: list[Ended]) -> list[tuple[str, object, float | None]]:
    return [(one.name, one.settings, one.bound) for one in ended]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ended]]:
    """The search's folder and trials, without a stop."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, run_sweep(sweep(folder, SEARCH), folder / "sweep", console=runs.QUIET)


def test_a_search_keeps_to_what_may_vary(straight: tuple[Path, list[Ended]]) -> None:
    """All trials are made within their ranges, the best comes first, and each has a workdir."""
    folder, ended = straight

    assert len(ended) == 4
    assert [one.bound for one in ended] == sorted((one.bound or 0 for one in ended), reverse=True)
    for one in ended:
        config = Workdir(folder / "sweep" / "trials" / one.name).read_config()
        assert config.batch_size == one.settings["batch_size"]
        assert config.batch_size in (40, 50)
        assert config.model.latent_dim in (2, 4, 6)
        assert 1e-3 <= config.optimiser.learning_rate <= 1e-2
        assert config.data.validation_share == 0.2
    summary = read_json(folder / "sweep" / "summary.json")
    assert summary["best"] == summary["trials"][0]
    assert summary["best"]["bound"] == ended[0].bound


def test_a_killed_sweep_goes_on(straight: tuple[Path, list[Ended]], tmp_path: Path) -> None:
    """A killed sweep resumes its trial, keeps the finished one, and finds what it would have."""
    path, reached = write(tmp_path, SEARCH), tmp_path / "reached"
    arguments = ["sweep", str(path), "--workdir", str(tmp_path / "sweep")]
    command = [sys.executable, "-c", HANG, str(reached), *arguments]
    with subprocess.Popen(command, cwd=runs.ROOT, stderr=subprocess.DEVNULL) as process:
        wait_for(reached, process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = (tmp_path / "sweep" / "trials" / "0000" / "weights.safetensors").stat().st_mtime_ns
    first = [json.loads(line) for line in _log(tmp_path, "0001")]

    ended = run_sweep(read_sweep(path), tmp_path / "sweep", console=runs.QUIET)

    assert figures(ended) == figures(straight[1])
    again = (tmp_path / "sweep" / "trials" / "0000" / "weights.safetensors").stat().st_mtime_ns
    assert again == kept
    assert json.loads(_log(tmp_path, "0001")[0]) == first[0]


def _log(folder: Path, trial: str) -> list[str]:
    return Workdir(folder / "sweep" / "trials" / trial).log.read_text().splitlines()


def test_ctrl_c_says_how_to_go_on(
    straight: tuple[Path, list[Ended]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal ends the sweep with a checkpoint of its trial, and the same command goes on."""
    wanted = sweep(tmp_path, SEARCH)
    with monkeypatch.context() as patch:
        interrupt_at(5, patch)
        with pytest.raises(
            InterruptedTrainingError, match="trial 0000; the same command"
        ) as caught:
            run_sweep(wanted, tmp_path / "sweep", console=runs.QUIET)
    assert caught.value.exit_code == 130

    ended = run_sweep(wanted, tmp_path / "sweep", console=runs.QUIET)

    assert figures(ended) == figures(straight[1])


def test_more_trials_may_be_asked_for(tmp_path: Path) -> None:
    """A finished sweep with a higher number of trials makes only those that are missing."""
    text = "search = 'random'\ntrials = {}\n[vary]\nseed = {{ low = 1, high = 1000 }}"
    first = run_sweep(sweep(tmp_path, text.format(1)), tmp_path / "sweep", console=runs.QUIET)

    ended = run_sweep(sweep(tmp_path, text.format(2)), tmp_path / "sweep", console=runs.QUIET)

    assert len(ended) == 2
    assert set(map(str, figures(first))) < set(map(str, figures(ended)))


def test_a_grid_has_every_combination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A grid makes each combination once; the command line prints a table and what to run."""
    arguments = ["sweep", str(write(tmp_path, GRID)), "--workdir", str(tmp_path / "sweep")]

    assert main(arguments) == 0

    shown = capsys.readouterr().err
    trials = read_json(tmp_path / "sweep" / "summary.json")["trials"]
    made = [(one["settings"]["model.network.hidden"], one["settings"]["seed"]) for one in trials]
    assert sorted(made) == [([8], 1), ([8], 2), ([16, 8], 1), ([16, 8], 2)]
    best = trials[0]["settings"]
    command = shown.split("the best one, on all images: ")[1]
    assert command.startswith(f"vaetrain run {tmp_path / 'tiny.toml'} --set ")
    assert f"--set seed={best['seed']}" in command
    assert "validation_share" not in command


def test_trials_one_by_one(tmp_path: Path) -> None:
    """[[runs]] are made as they are given, each with settings, or a preset, of its own."""
    other = tmp_path / "other.toml"
    other.write_text(runs.PRESET.replace("latent_dim = 4", "latent_dim = 3"))
    text = f'[[runs]]\nseed = 7\n[[runs]]\npreset = "{other}"\noptimiser.beta2 = 0.9\n'

    ended = run_sweep(sweep(tmp_path, text), tmp_path / "sweep", console=runs.QUIET)

    configs = {
        one.name: Workdir(tmp_path / "sweep" / "trials" / one.name).read_config() for one in ended
    }
    assert (configs["0000"].seed, configs["0000"].model.latent_dim) == (7, 4)
    assert (configs["0001"].seed, configs["0001"].model.latent_dim) == (0, 3)
    assert configs["0001"].optimiser.beta2 == 0.9


def test_a_trial_that_overflows_is_no_end(tmp_path: Path) -> None:
    """A trial whose loss is not finite counts as failed, with the reason; others go on."""
    text = "search = 'grid'\n[vary]\noptimiser.learning_rate = [1e18, 1e-3]"

    ended = run_sweep(
        sweep(tmp_path, text, TINY + "optimiser.warmup_steps = 0\n"),
        tmp_path / "sweep",
        console=runs.QUIET,
    )

    assert [one.state for one in ended] == ["complete", "fail"]
    assert "Lower optimiser.learning_rate" in str(ended[1].reason)


def test_a_trial_that_explodes_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial whose loss leaves its range counts as failed too, with the reason."""

    def exploding(*_: object, **__: object) -> None:
        msg = "the loss is far beyond its range"
        raise DivergedError(msg)

    monkeypatch.setattr("training.sweep.sweep.fit", exploding)

    ended = run_sweep(
        sweep(tmp_path, "[[runs]]\nseed = 1\n[[runs]]\nseed = 2\n"),
        tmp_path / "sweep",
        console=runs.QUIET,
    )

    assert [(one.state, one.reason) for one in ended] == [
        ("fail", "the loss is far beyond its range")
    ] * 2


def test_a_hopeless_trial_is_pruned(tmp_path: Path) -> None:
    """With pruning = "median" a trial far below those before ends early, and is never the best."""
    text = (
        "pruning = 'median'\npruning_warmup = 1\nsearch = 'grid'\n"
        "[vary]\noptimiser.learning_rate = [1e-2, 1e-6]"
    )
    common = "epochs = 4\ndata.validation_share = 0.2\n"

    ended = run_sweep(sweep(tmp_path, text, common), tmp_path / "sweep", console=runs.QUIET)

    assert [(one.state, one.epochs) for one in ended] == [("complete", 4), ("pruned", 2)]


@pytest.mark.parametrize(
    ("objective", "common", "bound"),
    [
        ("validation_elbo", "", -95.0),
        ("validation_elbo", "early_stop = 3\n", -90.0),
        ("best_validation_elbo", "", -90.0),
    ],
)
def test_which_epoch_counts(
    objective: str, common: str, bound: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is that of the weights which are exported, or the best epoch's if so wished."""

    def trained(config: TrainingConfig, folder: Path, **_: object) -> None:
        lines = [{"epoch": n, "validation_elbo": -b} for n, b in ((1, 99.0), (2, 90.0), (3, 95.0))]
        folder.mkdir(parents=True)
        Workdir(folder).log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        write_json(Workdir(folder).run, {"fingerprints": load_data(config).fingerprints})

    monkeypatch.setattr("training.sweep.sweep.fit", trained)
    text = f'objective = "{objective}"\n[[runs]]\nseed = 1\n'

    (ended,) = run_sweep(
        sweep(tmp_path, text, TINY + common), tmp_path / "sweep", console=runs.QUIET
    )

    assert (ended.bound, ended.epochs) == (bound, 3)


def test_other_settings_need_another_folder(
    straight: tuple[Path, list[Ended]], tmp_path: Path
) -> None:
    """A folder's sweep goes on only with the settings that it began with."""
    other = sweep(straight[0], SEARCH.replace("6, step", "8, step"))

    with pytest.raises(ConfigError, match="other settings: vary"):
        run_sweep(other, straight[0] / "sweep", console=runs.QUIET)


@pytest.mark.parametrize(
    ("text", "common", "told"),
    [
        ("[vary]\nseed = [1, 2]", "", "data.validation_share = 0.1 below"),
        ("[vary]\nsseed = [1, 2]", TINY, "sseed: unknown key"),
        ("[vary]\noptimiser.learning_rate = [0.1, -1.0]", TINY, "greater than 0"),
        ("[vary]\nmodel.latent_dim = { low = 0, high = 4 }", TINY, "greater than 0"),
        ("[vary]\nmodel.likelihood.binarise = ['sample', 'threshold']", TINY, "same in all"),
        ("[vary]\nseed = [1, 2]", TINY + "tuning.epochs = 1\n", "tuning.epochs = 0 below"),
        (
            "[[runs]]\nseed = 1\n[[runs]]\ndata.test_share = 0.2",
            TINY,
            "data.test_share must be the same",
        ),
    ],
)
def test_what_can_not_be_compared_is_said_first(
    text: str, common: str, told: str, tmp_path: Path
) -> None:
    """Trials that can't be made, or compared, are found before the first begins."""
    with pytest.raises(ConfigError, match=told):
        run_sweep(sweep(tmp_path, text, common), tmp_path / "sweep", console=runs.QUIET)

    assert not (tmp_path / "sweep").exists()


def test_the_command_line_may_not_set_what_varies(tmp_path: Path) -> None:
    """A setting that varies and is given with --set is refused; others hold for all trials."""
    wanted = sweep(tmp_path, GRID)

    with pytest.raises(ConfigError, match="seed: set on the command line and varied"):
        run_sweep(wanted, tmp_path / "sweep", overrides=["seed=3"], console=runs.QUIET)


def test_a_sweep_without_a_good_trial_fails(tmp_path: Path, capsys: Any) -> None:
    """Where every trial failed the command ends with status 2 and says where the reasons are."""
    text = "[[runs]]\noptimiser = { learning_rate = 1e18, warmup_steps = 0 }\n"

    status = main(["sweep", str(write(tmp_path, text)), "--workdir", str(tmp_path / "sweep")])

    assert status == 2
    assert "no trial finished; summary.json says why" in capsys.readouterr().err


def test_augmentation_may_vary(tmp_path: Path) -> None:
    """The images that trials are compared by are not augmented."""
    require_comparable(sweep(tmp_path, "[vary]\ndata.augment.shift = [0, 1]\n"), [])


def test_other_images_are_refused_before_a_trial_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted trial is not marked as failed by a call with other images."""
    wanted = sweep(tmp_path, 'search = "grid"\n[vary]\nseed = [1]\n')
    with monkeypatch.context() as patch:
        interrupt_at(5, patch)
        with pytest.raises(InterruptedTrainingError):
            run_sweep(wanted, tmp_path / "sweep", console=runs.QUIET)
    others = runs.write_images(tmp_path / "others", 20, mode="L", size=(28, 28))

    with pytest.raises(ConfigError, match="has a sweep with other images: train"):
        run_sweep(
            wanted, tmp_path / "sweep", overrides=[f"data.source={others}"], console=runs.QUIET
        )
    (ended,) = run_sweep(wanted, tmp_path / "sweep", console=runs.QUIET)

    assert ended.state == "complete"
