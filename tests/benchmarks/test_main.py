"""The command's exit status."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import run
from benchmarks.measure.comparison import Unanswered
from benchmarks.report.result import Result
from benchmarks.report.targets import OURS
from tests import arithmetic_bundle
from tests.benchmarks import figures


def exit_status(monkeypatch: pytest.MonkeyPatch, folder: Path, measured: Result) -> int:
    """Of a run that found this."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(run, "measure", lambda *arguments: measured)
    return command.main(["--bundle", str(arithmetic_bundle.write(folder).folder)])


def test_a_load_that_the_service_did_not_answer_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody takes a result without it for a whole one; a slow rival is no failure."""
    measured = figures.result()
    assert exit_status(monkeypatch, tmp_path / "one", measured) == 0
    measured.bundles["heavy"].unanswered.append(Unanswered(OURS, "/sample n=1024", 4, 2.0))
    assert exit_status(monkeypatch, tmp_path / "other", measured) == 1
    assert "the service gave no answer under 1 loads" in capsys.readouterr().err


def test_a_whole_run_says_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it starts, on standard error."""
    exit_status(monkeypatch, tmp_path, figures.result())
    assert " minutes on two cores" in capsys.readouterr().err
