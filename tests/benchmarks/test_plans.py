"""What a run measures by its effort and selection, and how long it takes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import plans
from benchmarks.plans import PEERS, QUICK, STANDARD, Effort, Selection

BOTH = ("heavy", "small")
IMAGE = np.zeros((28, 28, 1), dtype=np.uint8)


@pytest.mark.parametrize("effort", [QUICK, STANDARD, PEERS])
@pytest.mark.parametrize("bundle", ["heavy", "small", "another"])
def test_every_effort_names_known_workloads(effort: Effort, bundle: str) -> None:
    """Each load of each effort is known and unique, and has at least one round."""
    loads = plans.loads(effort, Selection(), bundle, IMAGE)
    keys = [(one.workload.name, one.connections) for one in loads]
    assert keys
    assert len(set(keys)) == len(keys)
    assert all(one.rounds > 0 for one in loads)


def test_ratios_with_a_target_have_five_pairs() -> None:
    """The loads of these ratios are repeated at least five times."""
    for effort in (STANDARD, PEERS):
        rounds = {
            (bundle, one.workload.name, one.connections): one.rounds
            for bundle in ("heavy", "small")
            for one in plans.loads(effort, Selection(), bundle, IMAGE)
        }
        for key in (
            *(("heavy", "/sample n=1", 64), ("heavy", "/reconstruct", 64)),
            *(("small", "/sample n=1", 16), ("small", "/sample n=1", 1)),
        ):
            assert rounds[key] >= 5


def test_a_selection_replaces_connections_and_rounds() -> None:
    """A selection replaces the connections and rounds of the effort."""
    selection = Selection(workloads=("sample n=1",), connections=(7,), rounds=2)
    loads = plans.loads(STANDARD, selection, "heavy", IMAGE)
    assert [(one.workload.name, one.connections, one.rounds) for one in loads] == [
        ("/sample n=1", 7, 2),
        ("/sample n=1024", 7, 2),
    ]


def test_a_whole_name_means_that_workload_alone() -> None:
    """`/reconstruct` does not select the form, whose name contains it."""
    for name, expected in (
        ("/reconstruct", {"/reconstruct"}),
        ("reconstruct", {"/reconstruct", "/reconstruct multipart"}),
        ("/sample n=1", {"/sample n=1"}),
    ):
        loads = plans.loads(STANDARD, Selection(workloads=(name,)), "heavy", IMAGE)
        assert {one.workload.name for one in loads} == expected


def test_systems_are_selected_by_parts_of_their_names() -> None:
    """Names match in any case, and an empty selection selects every system."""
    assert Selection().takes_system("LitServe")
    assert Selection(systems=("lit", "ray")).takes_system("LitServe")
    assert not Selection(systems=("ray",)).takes_system("LitServe")


def test_a_run_with_peers_fits_into_forty_minutes() -> None:
    """A run of all parts with all peers takes less than 40 minutes."""
    assert plans.minutes(PEERS, BOTH, rivals=6, restless=1) < 40


def test_the_help_says_how_long_a_run_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """The help states the estimated minutes."""
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    said = re.search(r"other model servers too, (\d+) minutes \(without it (\d+)\)", text)
    assert said
    with_peers, without = map(int, said.groups())
    assert with_peers - 1 < plans.minutes(PEERS, BOTH, rivals=6, restless=1) <= with_peers
    assert without - 1 < plans.minutes(STANDARD, BOTH, rivals=2) <= without


@pytest.mark.parametrize("document", ["Makefile", "docs/performance.md"])
def test_the_documents_say_how_long_a_run_takes(document: str) -> None:
    """The documents state the estimated minutes, at most three too many."""
    text = (Path(__file__).parent.parent.parent / document).read_text()
    with_peers = int(
        re.findall(r"^(?: +make )?bench-peers.* (\d+) minutes$", text, re.MULTILINE)[0]
    )
    without = int(re.findall(r"^(?: +make )?bench\b(?!-).* (\d+) minutes$", text, re.MULTILINE)[0])
    assert with_peers - 3 < plans.minutes(PEERS, BOTH, rivals=6, restless=1) <= with_peers
    assert without - 3 < plans.minutes(STANDARD, BOTH, rivals=2) <= without


def test_every_part_takes_its_time() -> None:
    """A part that is left out takes no time, and more rivals or bundles take longer."""
    whole = plans.minutes(QUICK, BOTH, rivals=2)
    for part in ("rest", "engine", "loads"):
        rest = tuple(one for one in QUICK.parts if one != part)
        assert plans.minutes(replace(QUICK, parts=rest), BOTH, rivals=2) < whole
    assert plans.minutes(QUICK, BOTH, rivals=3) > whole
    assert plans.minutes(QUICK, BOTH, rivals=2, restless=1) > whole
    assert plans.minutes(QUICK, ("heavy",), rivals=2) < whole
