"""The measured bound, against a model whose likelihood is known exactly."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.bundle.manifest import LikelihoodSpec, Metric
from model.pixels import Floats
from model.prior.mixture import Mixture
from model.runtime import Graph
from tests.training import runs
from training.config.run import TrainingConfig
from training.config.sections import EvaluationConfig
from training.data.dataset import load_data
from training.errors import DataError, StageError
from training.evaluation.evaluate import evaluate, measure, to_test_targets
from training.export.graphs import Graphs, export, to_onnx
from training.fit.fit import fit
from training.workdir import Workdir, read_json, write_json

UNIT = LikelihoodSpec(family="gaussian", dimensions=2, scale=1.0)


class ExactEncoder(nn.Module):
    """The true posterior of x ~ N(z, I), z ~ N(0, I): N(x/2, I/2)."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        flat = image.flatten(1)
        return flat / 2, torch.full_like(flat, math.log(0.5))


class WideEncoder(nn.Module):
    """The prior, as a posterior that has learned nothing."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(image.flatten(1)), torch.zeros_like(image.flatten(1))


class Identity(nn.Module):
    """The decoder of that model: its mean is the latent."""

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        image = latent.reshape(-1, 1, 2, 1)
        return image.clamp(0, 1), image * 1.0


@functools.cache
def graphs(encoder: type[nn.Module]) -> Graphs:
    """Exported once for all tests, as an export takes seconds."""
    image, latent = np.zeros((2, 1, 2, 1), np.float32), np.zeros((2, 2), np.float32)
    return Graphs(
        Graph(to_onnx(encoder(), image, "image", ("mean", "logvar"))),
        Graph(to_onnx(Identity(), latent, "latent", ("pixels", "params"))),
    )


def images(count: int) -> Floats:
    return np.random.default_rng(0).random((count, 1, 2, 1), dtype=np.float32)


def exact(targets: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """log N(x; 0, 2 I) of each image."""
    squares = np.square(targets.reshape(len(targets), -1).astype(np.float64))
    return np.asarray((-squares / 4 - 0.5 * math.log(4 * math.pi)).sum(axis=1))


@pytest.mark.parametrize("samples", [1, 3, 250])
def test_the_bound_is_the_likelihood_where_the_posterior_is_exact(samples: int) -> None:
    """With the true posterior the bound is log p(x) itself, for any number of samples."""
    targets = images(6)

    measured = measure(
        graphs(ExactEncoder),
        targets,
        EvaluationConfig(samples=samples),
        UNIT,
        threads=1,
        console=runs.QUIET,
    )

    np.testing.assert_allclose(measured.bound, exact(targets), rtol=1e-5)
    np.testing.assert_array_equal(measured.mean, targets.reshape(6, 2) / 2)


def test_the_bound_approaches_the_likelihood_from_below() -> None:
    """With a poor posterior the bound lies above the ELBO and below log p(x)."""
    targets = images(300)

    measured = measure(
        graphs(WideEncoder),
        targets,
        EvaluationConfig(samples=400),
        UNIT,
        threads=1,
        console=runs.QUIET,
    )

    likelihood = exact(targets).mean()
    elbo = measured.log_likelihood.mean()  # the KL is 0
    assert elbo < likelihood - 0.3
    assert abs(measured.bound.mean() - likelihood) < 0.02


def test_the_bound_knows_a_learned_prior() -> None:
    """Under N(0, I/3) as the mixture's only component the bound reaches log N(x; 0, 4/3 I), and
    the KL is the posterior's from that component."""
    scales = np.full((1, 2), math.sqrt(1 / 3), np.float32)
    mixture = Mixture(np.ones(1), np.zeros((1, 2), np.float32), scales)
    mixed, targets = replace(graphs(ExactEncoder), mixture=mixture), images(20)

    measured = measure(
        mixed, targets, EvaluationConfig(samples=5000), UNIT, threads=1, console=runs.QUIET
    )

    squares = np.square(targets.reshape(20, 2).astype(float))
    evidence = (-squares * 3 / 8 - 0.5 * math.log(8 * math.pi / 3)).sum(axis=1)
    np.testing.assert_allclose(measured.bound, evidence, atol=0.05)
    # KL[N(x/2, 1/2) ‖ N(0, 1/3)] of each value.
    kl = 0.5 * (1.5 + 3 * squares / 4 - 1 - math.log(1.5))
    np.testing.assert_allclose(measured.kl, kl.sum(axis=1), atol=0.1)


def test_the_bound_of_a_discretised_logistic_approaches_the_likelihood() -> None:
    """Grey levels of two pixels, each a logistic around its latent: log p(x) by quadrature."""
    levels = np.array([[0, 255], [100, 30], [128, 254]])
    targets = (levels / 255).astype(np.float32).reshape(3, 1, 2, 1)
    spec = LikelihoodSpec(family="logistic", dimensions=2, scale=(0.3,), levels=256)

    measured = measure(
        graphs(WideEncoder),
        targets,
        EvaluationConfig(samples=20_000),
        spec,
        threads=1,
        console=runs.QUIET,
    )

    z = np.linspace(-10, 10, 20_001)
    prior = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    edges = np.concatenate([[-np.inf], np.arange(255) + 0.5, [np.inf]])
    below = 1 / (1 + np.exp(-(edges[:, None] / 255 - z) / 0.3))
    exact_of_pixel = np.log(np.trapezoid(prior * np.diff(below, axis=0), z, axis=1))
    np.testing.assert_allclose(measured.bound, exact_of_pixel[levels].sum(axis=1), atol=0.05)


def test_figures_do_not_depend_on_threads() -> None:
    """One thread and two give the same bits."""
    targets, config = images(9), EvaluationConfig(samples=130)
    one, two = (
        measure(graphs(WideEncoder), targets, config, UNIT, threads=threads, console=runs.QUIET)
        for threads in (1, 2)
    )

    np.testing.assert_array_equal(one.bound, two.bound)
    np.testing.assert_array_equal(one.log_likelihood, two.log_likelihood)


def test_binarisation_is_committed() -> None:
    """The test images' bits follow from the seed, and their hash is recorded."""
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=0)
    config = TrainingConfig.model_validate(
        {"model": {"likelihood": {"family": "bernoulli", "binarise": "sample"}}}
    )
    uniform = np.random.Generator(np.random.PCG64(20151)).random((3, 16, 16, 1))

    targets, digest = to_test_targets(images, config)

    expected = (uniform * 255 < images).astype(np.float32)
    np.testing.assert_array_equal(targets, expected.transpose(0, 3, 1, 2))
    bits = (expected * 255).astype(np.uint8)
    assert digest == hashlib.sha256(bits.tobytes()).hexdigest()
    assert digest == "8a0fe71939802a0d2924dbba7e9fc0e3093b7a58348f662a1ad112c00a67f2a7"


@pytest.mark.parametrize(
    ("binarise", "values"), [("threshold", [0, 1]), ("none", [127 / 255, 128 / 255])]
)
def test_targets_without_drawing(binarise: str, values: list[float]) -> None:
    """Thresholded images are cut at a half, and others stay grey."""
    images = np.array([127, 128], dtype=np.uint8).reshape(1, 2, 1, 1)
    config = TrainingConfig.model_validate(
        {"model": {"likelihood": {"family": "bernoulli", "binarise": binarise}}}
    )

    targets, _ = to_test_targets(images, config)

    np.testing.assert_allclose(targets.ravel(), values, rtol=1e-6)


def test_the_stage_writes_figures_and_posterior_means(finished: Workdir) -> None:
    """The stage leaves metrics that a manifest takes, and the posterior means by class."""
    document = read_json(finished.metrics)
    metrics = {name: Metric.model_validate(value) for name, value in document["metrics"].items()}

    assert metrics["bound"].n == 40
    assert metrics["elbo"].value < metrics["bound"].value < -100
    assert sum(document["kl_per_dimension"]) == pytest.approx(metrics["kl"].value)
    with np.load(finished.posterior) as posterior:
        assert posterior["mean"].shape == posterior["logvar"].shape == (40, 4)
        assert len(set(posterior["label"].tolist())) == 10


def test_the_exported_graph_is_as_good_as_the_trained_network(finished: Workdir) -> None:
    """The test bound is near the training bound of the last epoch, as an honest export's is."""
    last = json.loads(finished.log.read_text().splitlines()[-1])

    measured_elbo = read_json(finished.metrics)["metrics"]["elbo"]["value"]

    assert measured_elbo == pytest.approx(last["elbo"], rel=0.1)


def test_settings_are_chosen_on_the_validation_images(tmp_path: Path) -> None:
    """`evaluation.split` measures what was held back from training, and not the test images."""
    config = runs.config(tmp_path, "epochs=1", "data.validation_share=0.2")
    workdir = fit(config, tmp_path / "run", console=runs.QUIET)
    export(workdir.folder)
    overrides = ["evaluation.pictures=0", "evaluation.samples=2"]

    evaluate(workdir.folder, [*overrides, "evaluation.split=validation"], console=runs.QUIET)
    validated = read_json(workdir.metrics)["metrics"]
    assert read_json(workdir.metrics)["split"] == "validation"
    assert all(one["note"].startswith("of validation images") for one in validated.values())
    evaluate(workdir.folder, overrides, console=runs.QUIET)
    tested = read_json(workdir.metrics)["metrics"]

    assert validated["bound"]["n"] == len(load_data(config).validation)
    assert tested["bound"]["n"] == 100
    assert validated["bound"]["note"] != tested["bound"]["note"]


def test_no_validation_images(finished: Workdir) -> None:
    """Where none were held back, the setting to change is named."""
    with pytest.raises(DataError, match="there are no validation images"):
        evaluate(finished.folder, ["evaluation.split=validation"], console=runs.QUIET)


def test_other_test_images(tmp_path: Path) -> None:
    """A run whose settings choose other test images can't be measured with them."""
    folder = runs.write_images(tmp_path / "pictures", 6, mode="L", size=(28, 28))
    config = runs.config(tmp_path, "epochs=1", data=folder)
    workdir = fit(config, tmp_path / "run", console=runs.QUIET)
    with pytest.raises(StageError, match="run `vaetrain export`"):
        evaluate(workdir.folder, console=runs.QUIET)
    export(workdir.folder)
    document = read_json(workdir.config)
    document["data"]["test_share"] = 0
    write_json(workdir.config, document)

    with pytest.raises(DataError, match="split differently than when"):
        evaluate(workdir.folder, console=runs.QUIET)
