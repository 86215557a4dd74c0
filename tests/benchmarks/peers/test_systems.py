"""Peers have a worker for each core, and say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import servers
from benchmarks.peers import systems
from benchmarks.servers import System
from model.bundle import Bundle, open_bundle
from tests import arithmetic_bundle


@pytest.mark.parametrize(
    ("system", "option"),
    [
        (systems.litserve, "--workers 3"),
        (systems.bentoml, "workers=3"),
        (systems.mlserver, "--workers 3"),
        (systems.ray_serve, "--replicas 3"),
        (servers.naive_tuned, "--workers 3"),
        (servers.naive_torch, "--workers 3"),
    ],
)
def test_workers_follow_the_cores(
    system: Callable[[Bundle], System],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On three cores there are three, in the command and in the report."""
    for module in (systems, servers):
        monkeypatch.setattr(module, "available_cores", lambda: 3)
    monkeypatch.setattr(systems, "program", lambda peer, name="python": name)
    found = system(open_bundle(arithmetic_bundle.write(tmp_path).folder))
    assert option in " ".join(found.command(80))
    assert "3 " in found.settings
    assert "2 worker" not in found.settings
