"""The command's exit status."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import run
from benchmarks.measure.comparison import Unanswered
from benchmarks.report.result import Result
from benchmarks.servers.ours import OURS
from tests import arithmetic_bundle
from tests.benchmarks import figures


def exit_status(monkeypatch: pytest.MonkeyPatch, folder: Path, measured: Result) -> int:
    """The exit status of a run with this result."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(run, "measure", lambda *arguments: measured)
    return command.main(["--bundle", str(arithmetic_bundle.write(folder).folder)])


def test_a_load_without_a_response_of_the_service_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing response of the service fails the run, and one of a rival does not."""
    measured = figures.result()
    assert exit_status(monkeypatch, tmp_path / "one", measured) == 0
    measured.bundles["heavy"].unanswered.append(Unanswered(OURS, "/sample n=1024", 4, 2.0))
    assert exit_status(monkeypatch, tmp_path / "other", measured) == 1
    assert "the service sent no response under 1 loads" in capsys.readouterr().err


def test_a_whole_run_says_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole run prints its duration on standard error before it starts."""
    exit_status(monkeypatch, tmp_path, figures.result())
    assert " minutes on two cores" in capsys.readouterr().err
