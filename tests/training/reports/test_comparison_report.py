"""A table, JSON and a page say the same of the compared runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.reports.test_page import read
from tests.training.reports.test_run_record import unfinished
from training.__main__ import main
from training.workdir import Workdir, read_json, write_json


@pytest.fixture
def other(copied: Workdir) -> Workdir:
    """An unfinished run with another seed and a name that is markup."""
    config = read_json(copied.config)
    config["seed"] = 77
    write_json(copied.config, config)
    renamed = copied.folder.rename(copied.folder.with_name("<b>other"))
    return unfinished(Workdir(renamed), 4)


def test_the_table(finished: Workdir, other: Workdir, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs are columns; what differs, epochs, and figures with their errors are rows."""
    assert main(["compare", str(finished.folder), str(other.folder)]) == 0

    shown = capsys.readouterr().out
    lines = {line.split("  ")[0].strip(): line for line in shown.splitlines()}
    assert "<b>other" in shown.splitlines()[0]
    assert "unfinished: 4 of 12 epochs" in lines["epochs"]
    assert lines["seed"].split() == ["seed", "0", "77"]
    assert "±" in lines["bound"]


def test_json(finished: Workdir, other: Workdir, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as one JSON document."""
    assert main(["compare", str(finished.folder), str(other.folder), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    first, second = document["runs"]
    bound = read_json(finished.metrics)["metrics"]["bound"]
    assert first["figures"]["bound"]["value"] == bound["value"]
    assert first["figures"]["bound"]["standard_error"] == bound["standard_error"]
    assert (second["name"], second["epochs"], second["finished"]) == ("<b>other", 4, False)
    assert second["differing_settings"] == {"seed": 77}


def test_the_page(finished: Workdir, other: Workdir, tmp_path: Path) -> None:
    """Table, legend and overlaid curves, with every name escaped."""
    path = tmp_path / "compared.html"

    assert main(["compare", str(finished.folder), str(other.folder), "--html", str(path)]) == 0

    content = path.read_text("utf-8")
    shown = read(content)
    assert "b" not in shown.tags
    assert "<b>other" in shown.text
    assert shown.tags.count("img") == 2 + 7


def test_a_folder_without_a_run_is_one_sentence(
    finished: Workdir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is named, with status 2."""
    assert main(["compare", str(finished.folder), str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
