"""Lasting load on a real service, with those who misbehave beside those who don't."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.load import misbehaving, soak, workloads
from benchmarks.servers.ours import running, vaeserve
from tests import arithmetic_bundle


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_nobody_fails_beside_those_who_misbehave(tmp_path: Path) -> None:
    """Every ordinary request is answered, and no rude one meets with a defect of the service."""
    bundle = arithmetic_bundle.write(tmp_path)
    kinds = misbehaving.kinds(workloads.golden_image(bundle))
    with running(vaeserve(bundle)) as server:
        seen = soak.run_slice(server, {workloads.sample(): 2}, seconds=1, kinds=kinds)
    assert seen.requests > 0
    assert seen.rude >= len(kinds)
    assert (seen.errors, seen.failures) == (0, 0)
    assert seen.seconds >= 1
    assert f"{seen.rude} rude requests, 0 of them failures, {seen.late} late" in soak.line(1, seen)
