"""Lasting load on a real service, with misbehaving clients beside ordinary ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.load import misbehaving, soak, workloads
from benchmarks.servers.ours import running, vaeserve
from tests import arithmetic_bundle


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_no_request_fails_beside_misbehaving_clients(tmp_path: Path) -> None:
    """Every ordinary request gets a response, and no request meets a failure of the service."""
    bundle = arithmetic_bundle.write(tmp_path)
    kinds = misbehaving.kinds(workloads.golden_image(bundle))
    with running(vaeserve(bundle)) as server:
        seen = soak.run_slice(server, {workloads.sample(): 2}, seconds=1, kinds=kinds)
    assert seen.requests > 0
    assert seen.misbehaving >= len(kinds)
    assert (seen.errors, seen.failures) == (0, 0)
    assert seen.seconds >= 1
    assert soak.line(1, seen).endswith(
        f"{seen.misbehaving} requests of misbehaving clients, 0 of them failures, {seen.late} late"
    )
