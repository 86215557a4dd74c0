"""A line an epoch, each once, whatever happened between."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training import runs
from training.fit.progress import RunLog
from training.fit.running_sums import EpochMetrics
from training.fit.state import State
from training.workdir import Workdir

FIGURES = EpochMetrics(
    elbo=-90.0,
    log_likelihood=-65.0,
    kl=25.0,
    kl_per_dimension=(20.0, 4.0, 1.0),
    active_units=2,
    dimensions=3,
)


@contextmanager
def report(workdir: Workdir, told: io.StringIO, *, terminal: bool = False) -> Iterator[RunLog]:
    console = Console(file=told, force_terminal=terminal, width=200)
    with RunLog(workdir, console, first_step=0, steps=100) as opened:
        yield opened


def test_an_epoch_is_a_line_everywhere(tmp_path: Path) -> None:
    """Each epoch is one line of metrics.jsonl and one on the console, in nats, with what is left
    of the time."""
    workdir, told = Workdir(tmp_path), io.StringIO()
    with report(workdir, told) as opened:
        opened.epoch(1, 10, FIGURES, {"scale": None, "validation_elbo": -91.5})
        opened.epoch(2, 20, FIGURES, {"scale": 0.05})

    lines = [json.loads(line) for line in workdir.log.read_text().splitlines()]
    assert [(line["epoch"], line["step"], line["elbo"]) for line in lines] == [
        (1, 10, -90.0),
        (2, 20, -90.0),
    ]
    first, second = told.getvalue().splitlines()
    assert first.startswith("epoch 1: ELBO -90.00 nats = log p(x|z) -65.00 − KL 25.00")
    assert "2 of 3 units active, validation elbo -91.5" in first
    assert first.endswith(" left")
    assert lines[0]["kl_per_dimension"] == [20.0, 4.0, 1.0]
    assert "scale 0.05" in second
    assert "images/s" in second


def test_a_resumed_run_has_each_line_once(tmp_path: Path) -> None:
    """Lines after the checkpoint, and damaged ones, go before the run goes on."""
    workdir = Workdir(tmp_path)
    lines = [json.dumps({"epoch": epoch, "step": 10 * epoch}) + "\n" for epoch in (1, 2, 3)]
    workdir.log.write_text('{"epoch": 0, "st\n' + "".join(lines) + '{"epoch": 4, "st')

    with RunLog(workdir, Console(quiet=True), first_step=25, steps=100):
        pass

    assert workdir.log.read_text() == "".join(lines[:2])


def test_a_warning_is_said_once(tmp_path: Path) -> None:
    """Each warning is said once in a run, on the console and in warnings.jsonl, resumed or not."""
    workdir, told = Workdir(tmp_path), io.StringIO()
    for _ in range(2):
        with report(workdir, told) as opened:
            opened.warn("collapse", "it has collapsed")
            opened.warn("collapse", "it still has")

    assert told.getvalue() == "warning: it has collapsed\n"
    (line,) = map(json.loads, workdir.warnings.read_text().splitlines())
    assert line == {"step": 0, "code": "collapse", "text": "it has collapsed"}


def test_the_bar_shows_the_bound(tmp_path: Path) -> None:
    """On a terminal a bar shows the bound, its parts, the gradient and the speed."""
    told = io.StringIO()
    state = State(runs.config(tmp_path, "model.latent_dim=1"), torch.device("cpu"))
    state.sums.add(torch.tensor([-65.0]), torch.zeros(1, 1), torch.zeros(1, 1))
    state.health.norm, state.step = 12.5, 30
    with report(Workdir(tmp_path), told, terminal=True) as opened:
        opened.step(3, 32, state)

    assert (
        "ELBO -65.00 nats = log p(x|z) -65.00 − KL 0.00, 0 of 1 units active, |∇| 12.5"
        in told.getvalue()
    )
    assert "30/100" in told.getvalue()
    assert "images/s" in told.getvalue()


def test_tensorboard_has_every_figure(tmp_path: Path) -> None:
    """The figures of each epoch are scalars, and the KL of the dimensions is a histogram."""
    workdir = Workdir(tmp_path)
    with report(workdir, io.StringIO()) as opened:
        opened.epoch(1, 10, FIGURES, {"gradient_norm": 3.0, "scale": None})

    events = EventAccumulator(str(workdir.tensorboard)).Reload()
    assert {"elbo", "kl", "active_units", "gradient_norm"} <= set(events.Tags()["scalars"])
    assert events.Tags()["histograms"] == ["kl_per_dimension"]
    assert [event.value for event in events.Scalars("gradient_norm")] == [3.0]
