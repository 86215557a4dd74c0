"""A run is read as far as it has come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training import runs
from training.errors import StageError
from training.reports.run_record import read_record
from training.workdir import Workdir, read_json, write_json


def unfinished(workdir: Workdir, epochs: int) -> Workdir:
    """Takes from a finished run what it had after some epochs and half a line."""
    lines = workdir.log.read_text().splitlines(keepends=True)
    workdir.log.write_text("".join(lines[:epochs]) + '{"epoch": 9, "st')
    for path in (workdir.weights, workdir.metrics, workdir.export):
        path.unlink()
    return workdir


def test_a_finished_run(finished: Workdir) -> None:
    """Settings, epochs, figures and the KL of the test images are those of its files."""
    record = read_record(finished.folder)

    assert record.finished
    assert (record.epochs, record.total_epochs, record.progress) == (12, 12, "12 epochs")
    assert record.settings["model.network.hidden"] == [64]
    assert record.metrics["bound"].samples == 5
    assert record.kl_per_dimension == read_json(finished.metrics)["kl_per_dimension"]


def test_an_unfinished_run(copied: Workdir) -> None:
    """What is not there yet is empty, and the KL is that of the last epoch's training images."""
    record = read_record(unfinished(copied, 3).folder)

    assert record.progress == "unfinished: 3 of 12 epochs"
    assert not record.metrics
    assert record.kl_per_dimension == record.log[2]["kl_per_dimension"]


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    """A configuration is enough."""
    write_json(Workdir(tmp_path).config, runs.config(tmp_path).model_dump(mode="json"))

    record = read_record(tmp_path)

    assert (record.epochs, record.total_epochs) == (0, 12)
    assert record.progress == "unfinished: 0 of 12 epochs"


def test_a_run_that_stopped_early_says_so(copied: Workdir) -> None:
    """Weights before the last epoch are those of an early stop."""
    copied.log.write_text("".join(copied.log.read_text().splitlines(keepends=True)[:7]))

    assert read_record(copied.folder).progress == "stopped early after epoch 7 of 12"


def test_paths_are_left_out(finished: Workdir) -> None:
    """Nothing says where images or cache lie on the machine."""
    record = read_record(finished.folder)

    assert str(runs.ROOT) not in json.dumps([record.settings, record.run])
    assert "data.source" not in record.settings


def test_no_run_is_one_sentence(tmp_path: Path) -> None:
    """A folder without a run is told with the stage that makes one."""
    with pytest.raises(StageError, match="run `vaetrain fit"):
        read_record(tmp_path)


def test_damaged_figures_name_their_stage(copied: Workdir) -> None:
    """A metric that is none is told with the stage to run again."""
    write_json(copied.metrics, {"metrics": {"bound": {"value": "high"}}})

    with pytest.raises(StageError, match="run `vaetrain evaluate`"):
        read_record(copied.folder)
