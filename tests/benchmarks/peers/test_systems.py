"""Peers have a worker for each core, and say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers import systems
from benchmarks.servers import ours
from benchmarks.servers.ours import System
from model.bundle.bundle import Bundle, open_bundle
from tests import arithmetic_bundle


@pytest.mark.parametrize(
    ("system", "option"),
    [
        (systems.litserve, "--workers 3"),
        (systems.bentoml, "workers=3"),
        (systems.mlserver, "--workers 3"),
        (systems.ray_serve, "--replicas 3"),
        (ours.naive_tuned, "--workers 3"),
        (ours.naive_torch, "--workers 3"),
    ],
)
def test_workers_follow_the_cores(
    system: Callable[[Bundle], System],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On three cores there are three, in the command and in the report."""
    for module in (systems, ours):
        monkeypatch.setattr(module, "available_cores", lambda: 3)
    monkeypatch.setattr(systems, "program", lambda peer, name="python": name)
    found = system(open_bundle(arithmetic_bundle.write(tmp_path).folder))
    assert option in " ".join(found.command)
    assert "3 " in found.settings
    assert "2 worker" not in found.settings
