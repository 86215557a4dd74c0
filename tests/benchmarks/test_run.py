"""A whole run, short and on a tiny model, through every part."""

from __future__ import annotations

import json
import shutil
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.exported import find_bundle
from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.measure.comparison import ENGINE
from benchmarks.plans import Bench, Effort, Selection
from benchmarks.report.result import UNDER_WAY, Result
from benchmarks.servers.ours import OURS, ServerError, System, vaeserve
from model.bundle.bundle import Bundle, BundleError, open_bundle
from tests import arithmetic_bundle

SHORTEST = Effort(
    "test",
    {"heavy": (("/sample n=1", (2,), 1),)},
    rest_starts=1,
    idle=0.1,
    batches=(1, 2),
    engine_rounds=1,
    engine_seconds=0.01,
    open_rounds=1,
    open_seconds=0.2,
    mixed_rounds=1,
    mixed_seconds=1,
    starts=1,
    starts_bundles=("arithmetic",),
)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_every_part_of_a_run_has_figures(tmp_path: Path) -> None:
    """The service alone, beside the ceilings, without a failed request."""
    bundle = arithmetic_bundle.write(tmp_path)
    bench = Bench(SHORTEST, Selection(), lambda bundle: [], lambda text: None)
    measured = run.measure({"arithmetic": bundle}, bench, {"other": "not here"})
    found = measured.bundles["arithmetic"]
    assert measured.errors == 0
    assert [(one.workload, one.system) for one in found.cells] == [
        ("/sample n=1", OURS),
        ("/sample n=1", "bare FastAPI"),
        ("/sample n=1", ENGINE),
    ]
    assert [one.part for one in found.open_loops] == [0.3, 0.6, 0.9]
    assert [one.system for one in found.mixed] == [OURS]
    assert [len(one.requests_per_second) for one in found.starts] == [1, 1]
    assert found.loaded_pss[OURS] > 10_000_000
    assert found.codings
    assert found.ceilings
    assert found.footprints


ENDS = System("ends", "ends at once", [sys.executable, "-c", "raise SystemExit(3)"])


def not_json(workload: Workload, content: bytes) -> bytes:
    """Parses an image as JSON, which fails as a response of a changed system would."""
    return bytes(json.loads(content))


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_rivals_that_fail_are_left_out(tmp_path: Path) -> None:
    """One that does not start and one whose answers are wrong end nothing: the others are
    measured, and the result says why they are not."""
    bundle = arithmetic_bundle.write(tmp_path)
    wrong = replace(vaeserve(bundle), name="wrong", answer=not_json)
    effort = replace(SHORTEST, parts=("rest", "loads"), rest_rivals=())
    kept: list[Result] = []
    measured = run.measure(
        {"arithmetic": bundle},
        Bench(effort, Selection(), lambda bundle: [ENDS, wrong], lambda text: None),
        {},
        lambda found: kept.append(deepcopy(found)),
    )
    found = measured.bundles["arithmetic"]
    assert {one.system for one in found.cells} == {OURS, "bare FastAPI", ENGINE}
    assert "ended with 3" in measured.missing["ends"]
    assert "unexpected response to /reconstruct" in measured.missing["wrong"]
    assert set(measured.missing) == {"ends", "wrong"}
    assert found.parts == ["rest", "loads"]
    assert not measured.ended_early
    assert kept[0].bundles["arithmetic"].parts == ["rest"]
    assert all(one.ended_early == UNDER_WAY for one in kept[:-1])
    assert all(one.disturbance is None for one in kept[:-1])
    assert measured.disturbance


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; apt-get install wrk")
def test_other_numbers_of_workers_are_measured_at_their_loads(tmp_path: Path) -> None:
    """One worker is compared at two connections, and not at one; the service is at both."""
    effort = replace(
        SHORTEST,
        loads={"heavy": (("/sample n=1", (1, 2), 1),)},
        parts=("loads",),
        seconds=1,
        warm_up=0.1,
        workers=(1,),
        workers_at=(("/sample n=1", 2),),
    )
    bench = Bench(effort, Selection(), lambda bundle: [], lambda text: None)
    measured = run.measure({"arithmetic": arithmetic_bundle.write(tmp_path)}, bench, {})
    cells = measured.bundles["arithmetic"].cells
    ours = [(one.system, one.connections) for one in cells if one.system.startswith(OURS)]
    assert ours == [(OURS, 1), (OURS, 2), (f"{OURS}, 1 worker", 2)]


class BrokenBench(Bench):
    """The service does not start."""

    def ours(self, bundle: Bundle) -> list[System]:
        return [replace(ENDS, name=OURS)]


def test_the_service_s_own_failure_ends_the_run(tmp_path: Path) -> None:
    """What was measured before it is kept, with the reason."""
    effort = replace(SHORTEST, parts=("png", "rest"))
    bench = BrokenBench(effort, Selection(), lambda bundle: [], lambda text: None)
    kept: list[Result] = []
    with pytest.raises(ServerError, match="ended with 3"):
        run.measure({"arithmetic": arithmetic_bundle.write(tmp_path)}, bench, {}, kept.append)
    assert "ended with 3" in kept[-1].ended_early
    assert kept[-1].bundles["arithmetic"].parts == ["png"]
    assert kept[-1].bundles["arithmetic"].codings


def system(name: str) -> System:
    return System(name, "any", ())


def test_restless_systems_run_beside_ours_alone() -> None:
    """A rival that uses 80 % of a core while idle runs beside the service alone."""
    systems = [system(name) for name in (OURS, "Ray Serve", "LitServe")]
    idle = {OURS: 0.4, "Ray Serve": 80.0}
    names = [[one.name for one in group] for group in run.groups(systems, idle)]
    assert names == [[OURS, "LitServe"], [OURS, "Ray Serve"]]


def test_the_golden_image_is_the_bundle_s(tmp_path: Path) -> None:
    """The image that is uploaded has the size that the model takes."""
    bundle: Bundle = open_bundle(arithmetic_bundle.write(tmp_path).folder)
    assert workloads.golden_image(bundle).shape == (4, 4, 1)


def test_other_bundles_are_given_by_their_folders(tmp_path: Path) -> None:
    """A folder's bundle has its own name, and the error names a folder without a bundle."""
    name, bundle = find_bundle(str(arithmetic_bundle.write(tmp_path).folder))
    assert (name, bundle.folder.name) == ("arithmetic", "1")
    with pytest.raises(BundleError, match=r"manifest\.json: missing"):
        find_bundle(str(tmp_path))
