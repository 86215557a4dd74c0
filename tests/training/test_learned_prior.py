"""A run with a mixture as its prior, from its first step to what is served of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.bundle import open_bundle
from model.reference import SAMPLES
from tests.app.live import live
from tests.app.loops import in_loop
from tests.training import runs
from training.addition import add_reference
from training.bundling import bundle
from training.checkpoint import read_weights
from training.errors import StageError
from training.evaluate import evaluate
from training.export import export, load_graphs, read_export
from training.figures import figures
from training.reference import reference
from training.trainer import fit
from training.workdir import Workdir, read_json

MIXTURE = 'model.prior={family="mixture", components=5}'


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """The workdir of a tiny run with a mixture after all stages; not to be changed."""
    folder = tmp_path_factory.mktemp("mixed")
    config = runs.config(folder, MIXTURE, "epochs=4", "data.validation_share=0.1")
    workdir = fit(config, folder / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    reference(workdir.folder, console=runs.QUIET)
    figures(workdir.folder)
    bundle(workdir.folder)
    return workdir


def test_the_prior_is_trained_and_exported(mixed: Workdir) -> None:
    """The bundle's mixture is the one of the averaged weights, moved from where it started."""
    opened = open_bundle(mixed.bundles / "digits" / "1")
    weights = read_weights(mixed).tensors

    assert opened.mixture is not None
    assert opened.mixture.shape == (5, 4)
    np.testing.assert_array_equal(opened.mixture.means, weights["prior.means"].numpy())
    scales = np.exp(weights["prior.logvars"].double().numpy() / 2)
    np.testing.assert_allclose(opened.mixture.scales, scales, rtol=1e-6)
    assert np.ptp(opened.mixture.weights) > 1e-3
    assert opened.manifest.prior.components == 5


def test_its_figures_are_of_the_mixture(mixed: Workdir) -> None:
    """The ELBO is the likelihood less the estimated KL, the bound is above it, and a KL of single
    dimensions, which a mixture does not have, is not told."""
    metrics = read_json(mixed.metrics)
    value = {name: metric["value"] for name, metric in metrics["metrics"].items()}

    assert value["elbo"] == pytest.approx(value["log_likelihood"] - value["kl"])
    assert value["elbo"] < value["bound"]
    assert metrics["metrics"]["kl"]["samples"] == 5
    assert metrics["kl_per_dimension"] == []


def test_a_prior_other_than_what_was_exported_is_refused(mixed: Workdir, tmp_path: Path) -> None:
    """The file has a hash as the graphs have."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in mixed.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "prior.npz").write_bytes(b"another")

    with pytest.raises(StageError, match=r"prior\.npz: is not what export wrote"):
        read_export(Workdir(folder))


def test_a_reference_added_later_is_of_the_mixture(mixed: Workdir, tmp_path: Path) -> None:
    """A bundle that gets its reference anew stores the bounds that it had."""
    folder = mixed.bundles / "digits" / "1"
    settings = ["data.validation_share=0.1", f"data.cache={tmp_path}"]

    again = add_reference(
        folder, str(runs.MNIST), root=tmp_path, overrides=settings, console=runs.QUIET
    )

    before = open_bundle(folder).reference
    assert before is not None
    assert again.reference is not None
    for how, values in before.bounds.items():
        np.testing.assert_array_equal(again.reference.bounds[how], values)
    assert again.mixture is not None


@in_loop
async def test_the_bundle_is_served(mixed: Workdir) -> None:
    """The service opens it, draws from its mixture, and scores a picture with the bound that the
    run's own graphs and prior give it."""
    mixture = load_graphs(read_export(mixed)).mixture
    assert mixture is not None
    async with live(mixed.bundles) as (_, client):
        drawn = (await client.post("/sample", json={"n": 6, "seed": 3})).json()
        digit = (runs.ROOT / "tests" / "data" / "pictures" / "digit.png").read_bytes()
        files = {"images": ("digit.png", digit, "image/png")}
        scored = (await client.post("/score", files=files, params={"seed": 3})).json()
    expected = mixture.draw([3] * 6, range(6), np.ones(6, np.float32), (4,))
    np.testing.assert_array_equal(np.array(drawn["latents"], np.float32), expected)
    assert scored["samples"] == SAMPLES
    assert scored["elbo"][0] == pytest.approx(scored["reconstruction"][0] - scored["kl"][0])
    assert scored["elbo"][0] < scored["importance_weighted"][0]
    assert scored["percentile"] is not None
