"""A run with a mixture as its prior, from its first step to what is served of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.bundle.bundle import open_bundle
from model.bundle.manifest import Metric
from model.bundle.reference import SAMPLES
from model.config import ModelConfig
from model.networks.networks import parameter_count
from model.networks.vae import VAE
from model.prior.mixture import draw_latents
from tests.app.live import live
from tests.app.loops import in_loop
from tests.training import runs
from training.bundle.add_reference import add_reference
from training.bundle.bundle import bundle
from training.cli import stages
from training.errors import ConfigError, StageError
from training.evaluation.evaluate import evaluate
from training.evaluation.posterior_means import latents
from training.evaluation.reference_bounds import reference
from training.evaluation.sample_quality import DISTANCE, bundle_quality, quality
from training.export.graphs import export, load_graphs, read_export
from training.fit.checkpoint import read_weights
from training.fit.fit import fit
from training.fit.warm_start import read_initial
from training.reports.plots import figures
from training.reports.run_report import report
from training.workdir import Workdir, read_json

MIXTURE = 'model.prior={family="mixture", components=5}'
MAPS = (
    'model={latent_map=[2, 7, 7], likelihood={family="bernoulli", binarise="sample"}, '
    'network={architecture="resnet", widths=[4, 6], blocks=1}}'
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """The workdir of a tiny run with a mixture after all stages; not to be changed."""
    folder = tmp_path_factory.mktemp("mixed")
    config = runs.config(folder, MIXTURE, "epochs=4", "data.validation_share=0.1")
    workdir = fit(config, folder / "run", console=runs.QUIET)
    export(workdir.folder)
    evaluate(workdir.folder, console=runs.QUIET)
    reference(workdir.folder, console=runs.QUIET)
    latents(workdir.folder, console=runs.QUIET)
    quality(workdir.folder, console=runs.QUIET, samples=60)
    figures(workdir.folder)
    bundle(workdir.folder)
    report(workdir.folder)
    return workdir


def bundle_of(workdir: Workdir) -> Path:
    return workdir.bundles / "digits" / "1"


def prior_of(vae: VAE) -> dict[str, Tensor]:
    return {name: one for name, one in vae.state_dict().items() if name.startswith("prior.")}


def test_the_prior_is_trained_and_exported(mixed: Workdir) -> None:
    """The bundle's mixture is the one of the averaged weights, moved from where it started."""
    opened = open_bundle(bundle_of(mixed))
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


def test_an_epoch_tells_the_kl_as_a_whole(mixed: Workdir) -> None:
    """Its lines add up, count active dimensions, and have no KL by dimension; the page says why."""
    lines = [json.loads(line) for line in mixed.log.read_text("utf-8").splitlines()]

    assert len(lines) == 4
    for line in lines:
        assert line["elbo"] == pytest.approx(line["log_likelihood"] - line["kl"])
        assert line["kl_per_dimension"] == []
        assert line["active_units"] <= 4
    page = mixed.page.read_text("utf-8")
    assert "The KL of a mixture prior is not a sum over dimensions." in page
    assert "components" in page


def test_samples_are_measured_from_the_mixture(
    mixed: Workdir, finished: Workdir, tmp_path: Path
) -> None:
    """The bundle's samples have the figures of its run; a run under N(0, I) says alike how its
    own came to be, so that the two compare."""
    overrides = [f"data.cache={tmp_path}", "data.validation_share=0.1"]
    found = bundle_quality(bundle_of(mixed), str(runs.MNIST), overrides, runs.QUIET, samples=60)

    of_run = Metric.model_validate(read_json(mixed.metrics)["metrics"][DISTANCE])
    assert found[DISTANCE].value == pytest.approx(of_run.value, rel=1e-6)
    normal = bundle_quality(bundle_of(finished), str(runs.MNIST), overrides, runs.QUIET, samples=60)
    assert found[DISTANCE].note == normal[DISTANCE].note


def test_the_card_names_the_prior(mixed: Workdir) -> None:
    """It says that the prior is learned, and of how many Gaussians."""
    card = open_bundle(bundle_of(mixed)).card

    assert card is not None
    assert "| latent | 4 values, prior a learned mixture of 5 Gaussians |" in card.splitlines()
    assert "N(0, I)" not in card


def test_its_weights_are_counted(tmp_path: Path) -> None:
    """Five weights, and a mean and a variance for each of four values of each component."""
    with_prior = parameter_count(VAE(runs.config(tmp_path, MIXTURE).model))
    without = parameter_count(VAE(runs.config(tmp_path).model))

    assert with_prior == without + 5 + 2 * 5 * 4


@pytest.mark.parametrize("kind", ["bundle", "workdir", "weights"])
def test_another_run_starts_from_the_mixture(mixed: Workdir, kind: str) -> None:
    """Its components begin where those of the trained model are."""
    source = {
        "bundle": bundle_of(mixed), "workdir": mixed.folder, "weights": mixed.weights,
    }[kind]  # fmt: skip
    vae, trained = VAE(mixed.read_config().model), read_weights(mixed).tensors

    read_initial(source, vae.config).put_into(vae)

    prior = prior_of(vae)
    assert len(prior) == 3
    for name in ("prior.means", "prior.logvars"):
        torch.testing.assert_close(prior[name], trained[name], rtol=1e-5, atol=1e-6)
    # Logits are known but for a constant.
    torch.testing.assert_close(
        prior["prior.logits"].softmax(0), trained["prior.logits"].softmax(0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"family": "normal"}, r"prior\.family \('mixture' there, 'normal' here\)"),
        (
            {"family": "mixture", "components": 6},
            r"prior\.components \(5 there, 6 here\)",
        ),
    ],
)
def test_a_start_with_another_mixture_is_refused(
    mixed: Workdir, prior: dict[str, object], message: str
) -> None:
    """A trained mixture is neither dropped nor cut to fit."""
    config = mixed.read_config().model.model_dump() | {"prior": prior}
    model = ModelConfig.model_validate(config)

    for source in (bundle_of(mixed), mixed.folder):
        with pytest.raises(ConfigError, match=message):
            read_initial(source, model)
    with pytest.raises(ConfigError, match=r"prior\.\w+"):
        read_initial(mixed.weights, model).put_into(VAE(model))


def test_a_mixture_takes_over_from_the_standard_normal(finished: Workdir) -> None:
    """A model trained under N(0, I) gives its networks, and the mixture begins as it does
    anyway."""
    config = finished.read_config().model.model_dump()
    model = ModelConfig.model_validate(config | {"prior": {"family": "mixture", "components": 5}})
    for source in (bundle_of(finished), finished.folder, finished.weights):
        vae = VAE(model)
        begun = {name: one.clone() for name, one in prior_of(vae).items()}

        read_initial(source, model).put_into(vae)

        for name, tensor in prior_of(vae).items():
            assert torch.equal(tensor, begun[name])
        for name, tensor in read_weights(finished).tensors.items():
            torch.testing.assert_close(vae.state_dict()[name], tensor)


@in_loop
async def test_a_mixture_over_latent_maps(tmp_path: Path) -> None:
    """Its components are of a map's values in their order: the run has all its stages, and the
    service draws the maps that the bundle's mixture draws."""
    config = runs.config(
        tmp_path, MAPS, MIXTURE, "epochs=1", "evaluation.pictures=8",
        "evaluation.reference_pictures=4",
    )  # fmt: skip
    workdir = Workdir(tmp_path / "run")
    await asyncio.to_thread(stages.run, config, workdir.folder)

    opened = open_bundle(bundle_of(workdir))
    assert opened.mixture is not None
    assert opened.mixture.shape == (5, 2 * 7 * 7)
    async with live(workdir.bundles) as (_, client):
        drawn = (await client.post("/sample", json={"n": 3, "seed": 3})).json()
    expected = draw_latents(opened.mixture, 3, 3, (2, 7, 7))
    np.testing.assert_array_equal(np.array(drawn["latents"], np.float32), expected)


def test_a_prior_other_than_what_was_exported_is_refused(mixed: Workdir, tmp_path: Path) -> None:
    """The file has a hash as the graphs have."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in mixed.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "prior.npz").write_bytes(b"another")

    with pytest.raises(StageError, match=r"prior\.npz: changed since export wrote it"):
        read_export(Workdir(folder))


def test_a_reference_added_later_is_of_the_mixture(mixed: Workdir, tmp_path: Path) -> None:
    """A bundle that gets its reference anew stores the bounds that it had."""
    folder = bundle_of(mixed)
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
    """The service opens it, draws from its mixture, and scores an image with the bound that the
    run's own graphs and prior give it."""
    mixture = load_graphs(read_export(mixed)).mixture
    assert mixture is not None
    async with live(mixed.bundles) as (_, client):
        drawn = (await client.post("/sample", json={"n": 6, "seed": 3})).json()
        digit = (runs.ROOT / "tests" / "data" / "images" / "digit.png").read_bytes()
        files = {"images": ("digit.png", digit, "image/png")}
        scored = (await client.post("/score", files=files, params={"seed": 3})).json()
    expected = mixture.draw([3] * 6, range(6), np.ones(6, np.float32), (4,))
    np.testing.assert_array_equal(np.array(drawn["latents"], np.float32), expected)
    assert scored["samples"] == SAMPLES
    assert scored["elbo"][0] == pytest.approx(scored["reconstruction"][0] - scored["kl"][0])
    assert scored["elbo"][0] < scored["importance_weighted"][0]
    assert scored["percentile"] is not None
