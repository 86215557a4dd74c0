"""A run's page shows everything there is, and says what is not."""

from __future__ import annotations

import json
import re

from tests.training import runs
from tests.training.reports.test_page import read
from tests.training.reports.test_run_record import unfinished
from training.reports.run_report import report
from training.workdir import Workdir, read_json, write_json

SECTIONS = [
    *("Warnings", "Metrics", "Curves", "KL of each dimension", "Reconstructions", "Samples"),
    *("Traversals", "Latent map", "Configuration", "Environment"),
]


def written(workdir: Workdir) -> str:
    report(workdir.folder)
    return workdir.page.read_text("utf-8")


def sections(content: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", content)


def test_a_finished_run_has_everything(copied: Workdir) -> None:
    """Every figure with its error, seven curves, the KL, four images, settings and machine."""
    content = written(copied)

    metric = read_json(copied.metrics)["metrics"]["bound"]
    run = read_json(copied.run)
    text = read(content).text
    assert sections(content) == SECTIONS
    assert content.count("<img") == 7 + 1 + 4
    assert f"{metric['value']:.1f} ± {metric['standard_error']:.1f}".replace("-", "−") in text
    assert metric["note"] in text
    assert run["tools"]["torch"] in text
    assert "latent_dim" in text
    assert "No warnings." in text
    assert "Not drawn yet" not in text


def test_an_unfinished_run_says_what_is_missing(copied: Workdir) -> None:
    """Curves and KL so far are shown, and for the rest the stage to run."""
    for path in copied.figures.iterdir():
        path.unlink()
    content = written(unfinished(copied, 2))

    text = read(content).text
    assert sections(content) == SECTIONS
    assert "unfinished: 2 of 12 epochs" in text
    assert content.count("<img") == 7 + 1
    assert "Not measured yet: run vaetrain evaluate on this workdir." in text
    assert text.count("run vaetrain figures") == 4


def test_new_figures_are_shown_without_knowing_them(copied: Workdir) -> None:
    """Whatever other stages measure is in the table."""
    document = read_json(copied.metrics)
    document["metrics"]["another_one"] = {"value": 3.25, "standard_error": 0.125, "n": 7}
    write_json(copied.metrics, document)

    text = read(written(copied)).text

    assert "another one3.25 ± 0.12" in text


def test_warnings_and_settings_are_escaped(copied: Workdir) -> None:
    """Markup in a card, a warning or a note is shown as it was written."""
    markup = "<script>alert(1)</script>"
    copied.warnings.write_text(json.dumps({"step": 7, "code": "x", "text": markup}) + "\n")
    config = read_json(copied.config)
    config["bundle"]["card"] = markup
    write_json(copied.config, config)

    content = written(copied)

    assert "<script" not in content
    assert f"step 7: {markup}" in read(content).text
    assert read(content).text.count(markup) == 2


def test_no_path_of_the_machine_is_told(copied: Workdir) -> None:
    """A report can be sent on: it says neither where images lie nor where the run does."""
    content = written(copied)

    assert str(runs.ROOT) not in content
    assert str(copied.folder) not in content
