"""Fixtures of the training tests."""

from __future__ import annotations

import pytest

from tests.training import runs
from training.bundling import bundle
from training.evaluate import evaluate
from training.export import export
from training.figures import figures
from training.trainer import fit
from training.workdir import Workdir


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """The workdir of a tiny run after all stages; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    workdir = fit(runs.config(folder), folder / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    figures(workdir.folder)
    bundle(workdir.folder)
    return workdir
