"""Figures of samples, whose worth is known for real and for blurred digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from model import noise
from model.bundle.manifest import Metric
from model.noise import Purpose
from model.pixels import to_float
from model.prior.mixture import Mixture
from model.runtime import Graph
from tests import arithmetic_bundle
from tests.training import runs
from training.__main__ import main
from training.config.run import TrainingConfig
from training.data.dataset import Data, Split, load_data
from training.data.memmap import ImageRows
from training.errors import DataError, StageError
from training.evaluation.mnist_classifier import SHA256
from training.evaluation.sample_quality import (
    DISTANCE,
    blurred,
    bundle_quality,
    draw,
    measure_quality,
    quality,
)
from training.workdir import Workdir, read_json

NAMES = {
    *("sample_frechet_distance", "sample_frechet_floor", "sample_frechet_blurred"),
    *("sample_frechet_ratio", "sample_precision", "sample_recall"),
    *("sample_density", "sample_coverage"),
}


def picker(images: ImageRows) -> Graph:
    """A decoder that shows stored images: the one that the first latent value points at."""
    nodes = [
        helper.make_node("Slice", ["latent", "zero", "one", "one"], ["value"]),
        # 1.702: the logistic function that is nearest to the normal distribution's.
        helper.make_node("Mul", ["value", "steepness"], ["steep"]),
        helper.make_node("Sigmoid", ["steep"], ["share"]),
        helper.make_node("Mul", ["share", "count"], ["position"]),
        helper.make_node("Cast", ["position"], ["index"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["index", "one"], ["row"]),
        helper.make_node("Gather", ["pictures", "row"], ["pixels"]),
        helper.make_node("Identity", ["pixels"], ["params"]),
    ]
    originals = to_float(np.asarray(images))
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("steepness", TensorProto.FLOAT, [], [1.702]),
        helper.make_tensor("count", TensorProto.FLOAT, [], [len(originals)]),
        numpy_helper.from_array(originals, "pictures"),
    ]
    shapes: dict[str, list[str | int | None]] = {
        "latent": ["batch", 4],
        "pixels": ["batch", 1, 28, 28],
        "params": ["batch", 1, 28, 28],
    }
    source, *targets = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    graph = helper.make_graph(nodes, "picker", [source], targets, initializer=constants)
    opset = [helper.make_opsetid("", 18)]
    return Graph(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return runs.config(tmp_path)


@pytest.fixture
def data(config: TrainingConfig) -> Data:
    return load_data(config)


def test_samples_that_are_real_are_near_the_floor(data: Data, config: TrainingConfig) -> None:
    """A decoder that shows training images is closer than blurred digits, and one that shows
    blurred test images is about as far as those."""
    real = measure_quality(picker(data.train.images), data, config, samples=300)
    blur = measure_quality(picker(blurred(data.test.images)), data, config, samples=300)

    assert set(real) == NAMES
    assert real[DISTANCE].value < 0.5 * real["sample_frechet_blurred"].value
    assert blur["sample_frechet_ratio"].value == pytest.approx(1, abs=0.4)
    assert real["sample_coverage"].value > 0.7


def test_figures_say_how_they_came_to_be(data: Data, config: TrainingConfig) -> None:
    """Numbers of images, seeds and the classifier's hash stand beside the values."""
    figures = measure_quality(picker(data.train.images), data, config, samples=50)

    distance, floor = figures[DISTANCE], figures["sample_frechet_floor"]
    assert (distance.n, distance.seeds) == (50, {"prior": 20154})
    assert (floor.n, floor.seeds) == (len(data.test), {})
    assert SHA256 in (distance.note or "")
    assert data.fingerprints["train"] in (distance.note or "")
    ratio = distance.value / figures["sample_frechet_blurred"].value
    assert figures["sample_frechet_ratio"].value == ratio


def test_samples_are_those_that_serving_draws(data: Data) -> None:
    """Row i is decoded from row i of the seed's prior noise, however many are drawn."""
    decoder = picker(data.train.images)
    latents = noise.standard_normal(7, Purpose.PRIOR, 0, 130, (4,))
    [shown] = decoder.run(latents, ["pixels"])

    drawn = draw(decoder, 130, 7)

    np.testing.assert_array_equal(drawn, np.rint(shown * 255).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(draw(decoder, 3, 7), drawn[:3])


def test_samples_of_a_mixture_are_those_that_serving_draws(data: Data) -> None:
    """Where the prior is learned, rows of the seed are its draws."""
    decoder = picker(data.train.images)
    rng = np.random.default_rng(0)
    means = rng.uniform(-3, 3, (3, 4)).astype(np.float32)
    mixture = Mixture(np.full(3, 1 / 3), means, np.full((3, 4), 0.1, np.float32))
    latents = mixture.draw([7] * 130, range(130), np.ones(130, np.float32), (4,))
    [shown] = decoder.run(latents, ["pixels"])

    drawn = draw(decoder, 130, 7, mixture)

    np.testing.assert_array_equal(drawn, np.rint(shown * 255).transpose(0, 2, 3, 1))


def test_a_blur_by_hand() -> None:
    """A pixel becomes the mean of nine, of which those beyond the edge are black."""
    images = np.zeros((1, 3, 4, 1), np.uint8)
    images[0, 0, 0, 0] = 255
    images[0, 2, 3, 0] = 90

    found = blurred(images)[0, :, :, 0].tolist()

    assert found == [[28, 28, 0, 0], [28, 28, 10, 10], [0, 0, 10, 10]]


def test_the_figures_of_a_run_are_added_to_its_metrics(copied: Workdir) -> None:
    """Those that were there stay, and the bundle of the run has all of them."""
    before = read_json(copied.metrics)

    quality(copied.folder, console=runs.QUIET, samples=60)

    after = read_json(copied.metrics)
    assert set(after["metrics"]) == set(before["metrics"]) | NAMES
    assert {**after, "metrics": None} == {**before, "metrics": None}
    assert Metric.model_validate(after["metrics"][DISTANCE]).n == 60


def test_a_bundle_has_the_figures_of_its_run(finished: Workdir, tmp_path: Path) -> None:
    """The graphs decide, wherever they lie."""
    overrides = [f"data.cache={tmp_path / 'cache'}"]
    folder = finished.bundles / "digits" / "1"

    found = bundle_quality(folder, str(runs.MNIST), overrides, runs.QUIET, samples=60)

    assert set(found) == NAMES
    assert found[DISTANCE].value > found["sample_frechet_floor"].value


def test_what_can_not_be_measured_is_refused(
    data: Data, config: TrainingConfig, tmp_path: Path
) -> None:
    """Images that are no digits by their shape, and too few to compare with."""
    other = arithmetic_bundle.write(tmp_path)

    with pytest.raises(StageError, match=r"images are \(1, 4, 4\); .* digits, \(1, 28, 28\)"):
        bundle_quality(other.folder, str(runs.MNIST), [f"data.cache={tmp_path / 'cache'}"])
    few = Data(
        data.train, data.validation, Split(data.test.images[:5], None), (), data.fingerprints, ()
    )
    with pytest.raises(DataError, match="5 test images are too few: 6 or more"):
        measure_quality(picker(data.train.images), few, config, samples=10)


def test_the_command_takes_a_run_or_a_bundle(
    finished: Workdir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the two, and a mistake in either is one sentence."""
    assert main(["quality", "--bundle", str(tmp_path)]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err
    assert main(["quality", "--workdir", str(tmp_path)]) == 2
    assert "run `vaetrain fit`" in capsys.readouterr().err
    both = ["--workdir", str(finished.folder), "--bundle", str(tmp_path)]
    for given in (both, []):
        assert main(["quality", *given]) == 2
        assert "give either --workdir or --bundle" in capsys.readouterr().err
