"""How long a run takes follows from what is measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import estimate
from benchmarks.plans import PEERS, QUICK, STANDARD

BOTH = ("heavy", "small")


def test_a_run_with_peers_fits_into_forty_minutes() -> None:
    """All of its parts, for both bundles, with two naive servers, torch, and four peers."""
    assert estimate.minutes(PEERS, BOTH, rivals=6, restless=1) < 40


def test_the_help_says_how_long_a_run_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """Its minutes are the counted ones."""
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    said = re.search(r"other model servers too, (\d+) minutes \(without it (\d+)\)", text)
    assert said
    with_peers, without = map(int, said.groups())
    assert with_peers - 1 < estimate.minutes(PEERS, BOTH, rivals=6, restless=1) <= with_peers
    assert without - 1 < estimate.minutes(STANDARD, BOTH, rivals=2) <= without


@pytest.mark.parametrize("document", ["Makefile", "docs/performance.md"])
def test_the_documents_say_how_long_a_run_takes(document: str) -> None:
    """Their minutes are not below the counted ones, and not far above."""
    text = (Path(__file__).parent.parent.parent / document).read_text()
    with_peers = int(
        re.findall(r"^(?: +make )?bench-peers.* (\d+) minutes$", text, re.MULTILINE)[0]
    )
    without = int(re.findall(r"^(?: +make )?bench\b(?!-).* (\d+) minutes$", text, re.MULTILINE)[0])
    assert with_peers - 3 < estimate.minutes(PEERS, BOTH, rivals=6, restless=1) <= with_peers
    assert without - 3 < estimate.minutes(STANDARD, BOTH, rivals=2) <= without


def test_every_part_takes_its_time() -> None:
    """Parts that are left out count nothing, and more of anything takes longer."""
    whole = estimate.minutes(QUICK, BOTH, rivals=2)
    for part in ("rest", "engine", "loads"):
        rest = tuple(one for one in QUICK.parts if one != part)
        assert estimate.minutes(replace(QUICK, parts=rest), BOTH, rivals=2) < whole
    assert estimate.minutes(QUICK, BOTH, rivals=3) > whole
    assert estimate.minutes(QUICK, BOTH, rivals=2, restless=1) > whole
    assert estimate.minutes(QUICK, ("heavy",), rivals=2) < whole
