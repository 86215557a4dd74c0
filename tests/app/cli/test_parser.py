"""The command line: help, mistakes, and which command it is."""

from __future__ import annotations

import re

import pytest

from app.cli.exits import MEANINGS, Exit
from app.cli.main import main
from app.cli.parser import COMMANDS, parser


def _exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_names_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command and every exit code stands in `vaeserve --help`."""
    assert _exit_code("--help") == 0
    text = capsys.readouterr().out
    for name, meaning in COMMANDS.items():
        assert re.search(rf"^ +{name}\s", text, re.MULTILINE)
        assert meaning[:40] in text
    for code in Exit:
        assert f"  {code.value} " in text
        assert MEANINGS[code] in text


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`vaeserve COMMAND --help` has the options, and how to reach a service."""
    assert _exit_code(command, "--help") == 0
    assert "--url" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("draw",), "invalid choice: 'draw'"),
        (("sample",), "-o"),
        (("sample", "-n", "0", "-o", "a.png"), "at least 1"),
        (("sample", "--seed", "-1", "-o", "a.png"), "at least 0"),
        (("score", "folder", "--csv", "--json"), "not allowed"),
        (("models", "--timeout", "0"), "above 0"),
        (("encode", "-o", "a.npy"), "PATH"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake on the command line says what would be right."""
    assert _exit_code(*arguments) == Exit.USAGE
    assert words in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`vaeserve --version` prints name and version."""
    assert _exit_code("--version") == 0
    assert capsys.readouterr().out.startswith("vaeserve 0.")


def test_the_url_comes_from_the_environment() -> None:
    """VAE_URL stands for --url, which goes before it."""
    from_environment = parser({"VAE_URL": "http://here"})
    assert from_environment.parse_args(["models"]).url == "http://here"
    assert from_environment.parse_args(["models", "--url", "http://there"]).url == "http://there"
    assert parser({}).parse_args(["models"]).url == ""
