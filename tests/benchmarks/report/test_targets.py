"""Each target is compared with the median of its measured values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.report import targets
from benchmarks.report.result import BundleResult
from tests.benchmarks import figures
from tests.benchmarks.figures import around


def test_targets_are_met_or_missed_by_their_medians() -> None:
    """4× naive is met by 5, 2× the tuned one by 2.2, 2.5× a peer by 4 and 10× Ray missed by 8,
    and a start at half of the others' speed misses its target."""
    found = {one.what: one for one in targets.verdicts(figures.result()) if one.bundle == "heavy"}
    where = "/sample n=1, 64 connections"
    assert found[f"requests/s over naive, {where}"].met
    assert found[f"requests/s over naive, tuned, {where}"].met
    peer, ray = (found[f"requests/s over {name}, {where}"] for name in ("LitServe", "Ray Serve"))
    assert (peer.met, peer.aim_met) == (True, True)
    assert (ray.met, ray.limit) == (False, 10)
    assert not found["slowest of 4 starts over their median, vaeserve, 64 connections"].met
    assert found["p99 over p50, /sample n=1, 64 connections"].met


def test_the_last_tenth_of_capacity_is_the_hardest() -> None:
    """Only the highest rate of the open loop has a target; 30 times the service time misses it."""
    verdicts = [one for one in targets.verdicts(figures.result()) if "open loop" in one.what]
    assert [(one.bundle, one.met) for one in verdicts] == [("heavy", False), ("small", False)]
    assert all("90%" in one.what for one in verdicts)


def test_the_small_model_is_compared_with_a_bare_route() -> None:
    """Two thirds of the bare route's requests/s meet the target and the aim."""
    whats = {one.what: one for one in targets.verdicts(figures.result()) if one.bundle == "small"}
    verdict = whats["requests/s over bare FastAPI, /sample n=1, 16 connections"]
    assert verdict.measured.median == pytest.approx(2 / 3)
    assert (verdict.met, verdict.aim_met) == (True, True)


def test_what_was_not_measured_has_no_verdict() -> None:
    """A part that was not measured has no verdicts."""
    result = replace(figures.result(), bundles={"heavy": BundleResult()})
    assert targets.verdicts(result) == []


def test_a_limit_that_is_reached_is_met() -> None:
    """A value that equals the limit meets it."""
    verdict = targets.Verdict("heavy", "any", "≤", 9.0, None, "s", around(9.0))
    assert verdict.met
    assert replace(verdict, sign="≥").met
    assert not replace(verdict, limit=8.9).met
    assert not verdict.aim_met
