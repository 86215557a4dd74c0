"""training/report.py: a line an epoch, each once, whatever happened between."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from training.report import Report
from training.totals import Figures, Totals
from training.workdir import Workdir

FIGURES = Figures(elbo=-90.0, log_likelihood=-65.0, kl=25.0, active_units=7)


@contextmanager
def report(workdir: Workdir, told: io.StringIO, *, terminal: bool = False) -> Iterator[Report]:
    console = Console(file=told, force_terminal=terminal, width=200)
    with Report(workdir, console, first_step=0, steps=100) as opened:
        yield opened


def test_an_epoch_is_a_line_everywhere(tmp_path: Path) -> None:
    """Each epoch is one line of metrics.jsonl and one on the console, in nats."""
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
    assert "7 active units, validation elbo -91.5" in first
    assert "scale 0.05" in second
    assert "images/s" in second


def test_a_resumed_run_has_each_line_once(tmp_path: Path) -> None:
    """Lines after the checkpoint, and damaged ones, go before the run goes on."""
    workdir = Workdir(tmp_path)
    lines = [json.dumps({"epoch": epoch, "step": 10 * epoch}) + "\n" for epoch in (1, 2, 3)]
    workdir.log.write_text('{"epoch": 0, "st\n' + "".join(lines) + '{"epoch": 4, "st')

    with Report(workdir, Console(quiet=True), first_step=25, steps=100):
        pass

    assert workdir.log.read_text() == "".join(lines[:2])


def test_collapse_is_said(tmp_path: Path) -> None:
    """A posterior without an active dimension is warned about."""
    told = io.StringIO()
    collapsed = Figures(elbo=-200.0, log_likelihood=-200.0, kl=0.0, active_units=0)
    with report(Workdir(tmp_path), told) as opened:
        opened.epoch(1, 10, collapsed, {})

    assert "the posterior has collapsed onto the prior" in told.getvalue()


def test_the_bar_shows_the_bound(tmp_path: Path) -> None:
    """On a terminal a bar shows the bound, its parts and the speed."""
    told = io.StringIO()
    totals = Totals(1, torch.device("cpu"))
    totals.add(torch.tensor([-65.0]), torch.zeros(1, 1), torch.zeros(1, 1))
    with report(Workdir(tmp_path), told, terminal=True) as opened:
        opened.step(3, 30, 32, totals)

    assert "ELBO -65.00 = log p(x|z) -65.00 − KL 0.00" in told.getvalue()
    assert "30/100" in told.getvalue()
    assert "images/s" in told.getvalue()
