"""Mistakes on the command line are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.__main__ import main


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
