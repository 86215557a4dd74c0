"""Fixtures of the training tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training import runs
from training.bundle.bundle import bundle
from training.evaluation.evaluate import evaluate
from training.evaluation.posterior_means import latents
from training.evaluation.reference_bounds import reference
from training.export.graphs import export
from training.fit.fit import fit
from training.reports.plots import figures
from training.reports.run_report import report
from training.workdir import Workdir


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """The workdir of a tiny run after all stages; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    workdir = fit(runs.config(folder), folder / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    reference(workdir.folder, console=runs.QUIET)
    latents(workdir.folder, console=runs.QUIET)
    figures(workdir.folder)
    bundle(workdir.folder)
    report(workdir.folder)
    return workdir


@pytest.fixture
def copied(finished: Workdir, tmp_path: Path) -> Workdir:
    """A copy of the finished run, to be changed at will."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return Workdir(tmp_path / "run")
