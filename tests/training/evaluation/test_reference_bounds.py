"""Bounds of held-out images, as the service would answer them."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.codecs.images import png
from model.bundle.bundle import open_bundle
from model.bundle.manifest import LikelihoodSpec, ReferenceSpec
from model.bundle.reference import SAMPLES, parse_reference
from tests.app.serving import serving
from tests.training import runs
from training.data.dataset import Data, Split, held_out, load_data
from training.errors import DataError, StageError
from training.evaluation.reference_bounds import bounds_of, reference
from training.export.graphs import Graphs, load_graphs, read_export
from training.workdir import Workdir, read_json

NOTHING = Split(np.empty((0, 28, 28, 1), np.uint8), None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return load_data(runs.config(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def graphs(finished: Workdir) -> Graphs:
    return load_graphs(read_export(finished))


def spec_of(workdir: Workdir) -> ReferenceSpec:
    return ReferenceSpec.model_validate(read_json(workdir.reference_about))


def test_the_bundle_has_what_the_stage_wrote(finished: Workdir) -> None:
    """The bounds are of the test images, by binarisation, with the service's own K."""
    spec = spec_of(finished)
    bundle = open_bundle(finished.bundles / "digits" / "1")

    assert bundle.manifest.reference == spec
    assert (spec.split, spec.n, spec.samples, spec.seed) == ("test", 100, SAMPLES, 20153)
    assert spec.fingerprint == read_json(finished.run)["fingerprints"]["test"]
    assert set(spec.binarised) == {"sample", "threshold"}
    assert bundle.reference is not None
    sampled, cut = (bundle.reference.bounds[how] for how in ("sample", "threshold"))
    assert len(sampled) == len(cut) == 100
    assert not np.array_equal(sampled, cut)


def test_the_stored_bounds_are_those_that_the_service_answers(
    finished: Workdir, data: Data
) -> None:
    """The served bound of a reference image, with its seed and place, stands in the file."""
    stored = parse_reference(finished.reference.read_bytes(), spec_of(finished))
    files = [("images", ("", png(image), "image/png")) for image in data.test.images[:6]]

    async def ask(how: str) -> list[float]:
        async with serving(finished.bundles) as client:
            answer = await client.post(f"/score?seed=20153&binarise={how}", files=files)
            bounds: list[float] = answer.json()["importance_weighted"]
            return bounds

    for how, bounds in stored.bounds.items():
        for value in asyncio.run(ask(how)):
            assert np.abs(bounds - value).min() < 1e-3


def test_validation_images_come_before_test_images(data: Data, tmp_path: Path) -> None:
    """What was held back for decisions is compared with; without it, the test images; without
    either there is an error that says what to set."""
    config = runs.config(tmp_path)
    validated = replace(data, validation=data.train)

    assert held_out(data, config) == ("test", data.test, data.fingerprints["test"])
    assert held_out(validated, config) == ("validation", data.train, data.fingerprints["train"])
    with pytest.raises(DataError, match=r"data\.validation_share"):
        held_out(replace(data, test=NOTHING), config)


def test_a_density_has_one_distribution(graphs: Graphs, data: Data) -> None:
    """A Gaussian's images are scored as they are, grey levels and all."""
    gaussian = LikelihoodSpec(family="gaussian", dimensions=784, scale=0.5)
    binary = np.where(data.test.images[:3] > 127, np.uint8(255), np.uint8(0))

    grey = bounds_of(graphs, gaussian, data.test.images[:3], "none", 0, threads=1)
    black = bounds_of(graphs, gaussian, binary, "none", 0, threads=1)

    assert (grey != black).all()


def test_threads_and_batches_change_nothing(graphs: Graphs, data: Data) -> None:
    """An image's bound depends on the image, its place and the seed alone."""
    spec = LikelihoodSpec(family="bernoulli", dimensions=784, binarise="sample")
    images = data.test.images[:5]

    one = bounds_of(graphs, spec, images, "sample", 4, threads=1)
    two = bounds_of(graphs, spec, images, "sample", 4, threads=2)
    first = bounds_of(graphs, spec, images[:2], "sample", 4, threads=1)
    other = bounds_of(graphs, spec, images, "sample", 5, threads=1)

    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(one[:2], first, rtol=1e-5)
    assert (one != other).all()


def test_how_many_images_is_a_setting(copied: Workdir) -> None:
    """Fewer images are chosen evenly, and another seed gives other bounds."""
    before = copied.reference.read_bytes()
    reference(
        copied.folder,
        ["evaluation.reference_pictures=10", "evaluation.reference_seed=3"],
        console=runs.QUIET,
    )

    assert (spec_of(copied).n, spec_of(copied).seed) == (10, 3)
    with np.load(io.BytesIO(copied.reference.read_bytes())) as arrays:
        assert arrays["sample"].shape == (10,)
        assert (np.diff(arrays["sample"]) >= 0).all()
    assert copied.reference.read_bytes() != before


def test_a_bound_that_is_no_number_is_refused(graphs: Graphs, data: Data) -> None:
    """Nothing is compared with infinity."""
    # Not validated: no bundle may have such a scale.
    tiny = LikelihoodSpec.model_construct(family="gaussian", dimensions=784, scale=1e-30)

    with pytest.raises(StageError, match="bound of image 0 is not finite"):
        bounds_of(graphs, tiny, data.test.images[:2], "none", 0, threads=1)
