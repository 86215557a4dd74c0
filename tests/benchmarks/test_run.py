"""A whole run, short and on a tiny model, through every part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import run, workloads
from benchmarks.bars import OURS
from benchmarks.bench import Bench
from benchmarks.comparison import ENGINE
from benchmarks.exported import find_bundle
from benchmarks.plans import Effort, Selection
from benchmarks.servers import System
from model.bundle import Bundle, BundleError, open_bundle
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


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
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


def system(name: str) -> System:
    return System(name, "any", lambda port: [])


def test_restless_systems_run_beside_ours_alone() -> None:
    """Ray takes 80 % of a core for nothing, so nobody else is measured while it runs."""
    systems = [system(name) for name in (OURS, "Ray Serve", "LitServe")]
    idle = {OURS: 0.4, "Ray Serve": 80.0}
    names = [[one.name for one in group] for group in run.groups(systems, idle)]
    assert names == [[OURS, "LitServe"], [OURS, "Ray Serve"]]


def test_the_golden_picture_is_the_bundle_s(tmp_path: Path) -> None:
    """The picture that is uploaded has the size that the model takes."""
    bundle: Bundle = open_bundle(arithmetic_bundle.write(tmp_path).folder)
    assert workloads.golden_image(bundle).shape == (4, 4, 1)


def test_other_bundles_are_given_by_their_folders(tmp_path: Path) -> None:
    """A folder's bundle goes by its own name, and a folder without one is named."""
    name, bundle = find_bundle(str(arithmetic_bundle.write(tmp_path).folder))
    assert (name, bundle.folder.name) == ("arithmetic", "1")
    with pytest.raises(BundleError, match=r"manifest\.json: missing"):
        find_bundle(str(tmp_path))
