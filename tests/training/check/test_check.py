"""`vaetrain check`: what a run would see, refuse and cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import ModelConfig
from tests.training import runs
from tests.training.fit.test_fit import interrupt_at
from training.__main__ import main
from training.check.check import advise, check
from training.check.inspection import Survey
from training.errors import DivergedError, InterruptedTrainingError
from training.fit.trainer import Trainer


def arguments(tmp_path: Path, data: Path, *others: str) -> list[str]:
    return [
        "check", str(data), "--preset", str(runs.preset(tmp_path)), "--out", str(tmp_path / "out"),
        "--set", f"data.cache={tmp_path / 'cache'}", *others,
    ]  # fmt: skip


def test_images_that_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer has counts, likelihood, memory and time, and a sheet of fitted images; nothing
    but the sheet is written."""
    assert main(arguments(tmp_path, runs.MNIST, "--json")) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["usable"] is True
    assert told["problems"] == []
    assert told["counts"] == {"train": 400, "validation": 0, "test": 100}
    assert told["splits"]["train"]["modes"] == {"L": 400}
    assert told["splits"]["test"]["sizes"] == {"28×28": 100}
    assert told["splits"]["train"]["constant_values"] > 100
    assert told["overlap"] == 0
    assert told["likelihood"]["set"] == []
    assert told["cost"]["steps"] == 120
    assert told["cost"]["seconds_per_step"] > 0
    assert told["cost"]["memory"]["parameters"] > 50_000
    assert told["cost"]["memory"]["peak"] > 10**7
    sheet = np.asarray(Image.open(told["sheet"]))
    assert sheet.shape == (8 * 30 + 2, 8 * 30 + 2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pictures.png"]


def test_people_are_told_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the answer is text, with the lines that one acts on."""
    assert main(arguments(tmp_path, runs.MNIST)) == 0

    told = capsys.readouterr().out
    for words in ("train: 400 images", "L (400)", "Likelihood: Bernoulli with sampled",
                  "GiB at peak with", "Time: 120 steps of", "pictures.png",
                  "bernoulli is set, which fits"):  # fmt: skip
        assert words in told


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (["--set", "model.channels=3"], "images are in grey, and the model's are colour"),
        (["--set", "model.likelihood.binarise=none"], "Bernoulli likelihood needs binary"),
    ],
)
def test_what_a_run_would_be_refused_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], others: list[str], words: str
) -> None:
    """What training refuses is told with status 2, and the rest of the answer is still there."""
    assert main(arguments(tmp_path, runs.MNIST, "--json", *others)) == 2

    answer = capsys.readouterr()
    told = json.loads(answer.out)
    assert told["usable"] is False
    assert words in told["problems"][0]
    assert words in answer.err
    assert told["cost"] is None
    assert told["splits"]["train"]["pictures"] == 400


def test_an_explosion_in_the_timed_steps_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that leaves its range while steps are timed is a problem of the run, as one that
    overflows, and the rest of the answer is still there."""

    def exploding(*_: object) -> None:
        msg = "the loss is far beyond its range"
        raise DivergedError(msg)

    monkeypatch.setattr(Trainer, "steps", exploding)

    found = check(runs.config(tmp_path), tmp_path / "out")

    assert found.problems == ("the loss is far beyond its range",)
    assert found.counts["train"] == 400


def test_a_run_that_does_not_fit_into_memory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed allocation names the settings to lower; the rest of the result is kept."""

    def failing(*_: object) -> None:
        msg = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
        raise RuntimeError(msg)

    monkeypatch.setattr(Trainer, "steps", failing)

    found = check(runs.config(tmp_path), tmp_path / "out")

    assert "does not fit into memory: lower batch_size (it is 40)" in found.problems[0]
    assert found.cost is None
    assert found.counts["train"] == 400


def test_a_network_of_ones_own_is_looked_at(tmp_path: Path) -> None:
    """What a run refuses of a network of one's own is a problem of the check too."""
    found = check(runs.custom_config(tmp_path, decoder="nets:Noisy"), tmp_path / "out")

    assert "it is random" in found.problems[0]


def test_ctrl_c_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is stopped leaves nothing to resume, and does not say so."""
    interrupt_at(1, monkeypatch)

    with pytest.raises(InterruptedTrainingError, match="SIGINT; nothing was trained") as caught:
        check(runs.config(tmp_path), tmp_path / "out")

    assert caught.value.exit_code == 130


def test_broken_and_mixed_images_are_found_at_once(tmp_path: Path) -> None:
    """Broken files and mixed colours are both in one answer, though a run would stop at one."""
    folder = runs.write_images(tmp_path / "pictures", 6, size=(28, 28))
    Image.new("L", (28, 28)).save(folder / "grey.png")
    (folder / "broken.png").write_text("no image")

    found = check(runs.config(tmp_path, "model.channels=3", data=folder), tmp_path / "out")

    findings = found.surveys[0].findings
    assert findings["unreadable"].count == 1
    assert findings["grey images among colour ones"].count == 1
    assert found.problems


def test_names_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets in a name are no markup, and what a terminal would obey is replaced."""
    monkeypatch.setenv("COLUMNS", "400")
    folder = runs.write_images(tmp_path / "pictures", 4, size=(28, 28))
    for name in ("[red]x.png", "[bold]y.png", "z\x1b]0;title\x07.png"):
        (folder / name).write_text("no image")

    assert main(arguments(tmp_path, folder, "--set", "model.channels=3")) == 2

    told = capsys.readouterr()
    for text in (told.out, told.err):
        for name in ("[red]x.png", "[bold]y.png", "z�]0;title�.png"):
            assert name in text
        assert "\x1b" not in text


@pytest.mark.parametrize("family", ["gaussian", "logistic"])
def test_natural_images_have_two_likelihoods(family: str) -> None:
    """Both are named with their setting, and that the one that is set fits."""
    model = ModelConfig.model_validate({"likelihood": {"family": family}})

    text, settings = advise(found_with(40, 20), model)

    assert "model.likelihood.family=logistic" in text
    assert "model.likelihood.family=gaussian" in text
    assert f"{family} is set, which fits" in text
    assert settings == ()


def found_with(near: int, extremes: int) -> Survey:
    """A survey of 100 values."""
    return Survey("train", values=100, near_extremes=near, extremes=extremes)


@pytest.mark.parametrize(
    ("found", "model", "settings"),
    [
        (found_with(100, 100), {}, ("family=bernoulli", "binarise=none")),
        (found_with(90, 80), {}, ("family=bernoulli", "binarise=sample")),
        (found_with(90, 80), {"channels": 3}, ()),
        (found_with(40, 20), {}, ()),
        (found_with(40, 20), {"likelihood": {"family": "bernoulli"}}, ("family=gaussian",)),
        (
            found_with(90, 80),
            {"likelihood": {"family": "bernoulli", "binarise": "sample"}},
            (),
        ),
    ],
)
def test_the_likelihood_that_fits(
    found: Survey, model: dict[str, object], settings: tuple[str, ...]
) -> None:
    """Black and white calls for a Bernoulli, near it for a sampled one, and the rest for a
    Gaussian; what is set so already is not told again."""
    _, advised = advise(found, ModelConfig.model_validate(model))

    assert advised == tuple(f"model.likelihood.{setting}" for setting in settings)
