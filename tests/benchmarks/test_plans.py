"""A selection narrows a run, and never measures twice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import plans
from benchmarks.plans import PEERS, QUICK, STANDARD, Effort, Selection

IMAGE = np.zeros((28, 28, 1), dtype=np.uint8)


@pytest.mark.parametrize("effort", [QUICK, STANDARD, PEERS])
@pytest.mark.parametrize("bundle", ["heavy", "small", "another"])
def test_every_plan_names_workloads_that_there_are(effort: Effort, bundle: str) -> None:
    """Each load of each effort is known, with at least a round, and none comes twice."""
    loads = plans.loads(effort, Selection(), bundle, IMAGE)
    keys = [(one.workload.name, one.connections) for one in loads]
    assert keys
    assert len(set(keys)) == len(keys)
    assert all(one.rounds > 0 for one in loads)


def test_ratios_that_are_held_to_a_bar_have_five_pairs() -> None:
    """The loads behind the ratios are repeated at least five times."""
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
    """What is named outright is measured, at each number of connections once."""
    selection = Selection(workloads=("sample n=1",), connections=(7,), rounds=2)
    loads = plans.loads(STANDARD, selection, "heavy", IMAGE)
    assert [(one.workload.name, one.connections, one.rounds) for one in loads] == [
        ("/sample n=1", 7, 2),
        ("/sample n=1024", 7, 2),
    ]


def test_a_whole_name_means_that_workload_alone() -> None:
    """/reconstruct is not the form too, though its name is a part of the other's."""
    for name, expected in (
        ("/reconstruct", {"/reconstruct"}),
        ("reconstruct", {"/reconstruct", "/reconstruct multipart"}),
        ("/sample n=1", {"/sample n=1"}),
    ):
        loads = plans.loads(STANDARD, Selection(workloads=(name,)), "heavy", IMAGE)
        assert {one.workload.name for one in loads} == expected


def test_systems_are_selected_by_parts_of_their_names() -> None:
    """Case does not matter, and no selection takes everybody."""
    assert Selection().takes_system("LitServe")
    assert Selection(systems=("lit", "ray")).takes_system("LitServe")
    assert not Selection(systems=("ray",)).takes_system("LitServe")
