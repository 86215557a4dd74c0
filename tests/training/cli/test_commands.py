"""Mistakes on the command line are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.__main__ import main
from training.cli.commands import given_overrides
from training.cli.options import build_parser
from training.config.overrides import Override


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere", "--name", "kl"], "/nowhere: neither a folder"),
        (["/nowhere", "--name", "Not A Name"], "--name Not A Name: "),
        (["/nowhere", "--name", "stats"], "reserved"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, one line on stderr, and no traceback."""
    assert main(["import-diffusers", *arguments, "--repository", str(tmp_path)]) == 2

    error = capsys.readouterr().err
    assert error.startswith("vaetrain: ")
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["x"], ["x", "--name", "kl", "--version", "0"]])
def test_usage_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A source and a name are needed, and a version counts from 1."""
    with pytest.raises(SystemExit) as caught:
        main(["import-diffusers", *arguments])

    assert caught.value.code == 2
    assert "usage: vaetrain import-diffusers" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--workdir", "run", "--bundle", "digits/1"]])
def test_quality_measures_a_run_or_a_bundle(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both and neither are refused with what to give."""
    assert main(["quality", *arguments]) == 2

    assert "give either --workdir or --bundle" in capsys.readouterr().err


def test_options_that_are_short_for_a_setting() -> None:
    """They come after `--set`, with the words that were typed, as errors repeat them."""
    arguments = ["fit", "mnist", "--threads", "-1", "--data", "here", "--set", "seed=3"]

    given = given_overrides(build_parser().parse_args(arguments))

    assert given == [
        "seed=3",
        Override("data.source", "here", "--data here"),
        Override("threads", -1, "--threads -1"),
    ]
