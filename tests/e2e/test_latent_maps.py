"""A model with a latent map, from training to every verb."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from model.bundle.bundle import open_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.training import runs
from training.cli import stages
from training.workdir import Workdir, read_json

SHAPE = (2, 7, 7)
MODEL = (
    'model={latent_map=[2, 7, 7], likelihood={family="bernoulli", binarise="sample"}, '
    'network={architecture="resnet", widths=[4, 6], blocks=1}}'
)
PNG = "image/png"


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """A tiny run with a latent map, after all stages; read-only."""
    folder = tmp_path_factory.mktemp("maps")
    config = runs.config(
        folder, MODEL, "epochs=2", "evaluation.pictures=10", "evaluation.reference_pictures=5"
    )
    stages.run(config, folder / "run")
    return Workdir(folder / "run")


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def files(*seeds: int) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("images", (f"{seed}.png", png(seed), PNG)) for seed in seeds]


async def told(client: httpx.AsyncClient, verb: str, **request: Any) -> dict[str, Any]:
    answer = await client.post(f"/{verb}", **request)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_the_bundle_states_the_map(workdir: Workdir) -> None:
    """Manifest, posterior and KL have the shape of the map, or its number of values."""
    manifest = open_bundle(workdir.bundles / "digits" / "1").manifest
    with np.load(workdir.posterior) as arrays:
        mean, logvar = arrays["mean"], arrays["logvar"]

    assert manifest.latent.shape == SHAPE
    assert manifest.decoder.inputs[0].shape == SHAPE
    assert manifest.network["architecture"] == "resnet"
    assert mean.shape == logvar.shape == (10, *SHAPE)
    assert len(manifest.kl_per_dimension) == 2 * 7 * 7
    assert sum(manifest.kl_per_dimension) == pytest.approx(manifest.metrics["kl"].value, rel=1e-4)
    last = json.loads(workdir.log.read_text("utf-8").splitlines()[-1])
    assert last["kl"] > 0
    assert read_json(workdir.export)["parity"]["decoder"]["equal_bits_at_all_batch_sizes"] is True


def test_the_figures_are_drawn(workdir: Workdir) -> None:
    """Traversals and the latent space treat the map's values as separate dimensions."""
    names = {path.stem for path in workdir.figures.iterdir()}

    assert names == {"loss", "latent", "reconstructions", "samples", "traversals"}


@in_loop
async def test_every_verb_answers_maps(workdir: Workdir) -> None:
    """Sampled, encoded and interpolated latents are maps that decode; bounds are finite."""
    async with serving(workdir.bundles) as client:
        sampled = await told(client, "sample", json={"n": 2, "seed": 7})
        decoded = await told(client, "decode", json={"latents": sampled["latents"]})
        encoded = await told(client, "encode", files=files(0, 1))
        shown = await told(client, "reconstruct", files=files(0), params={"elbo_samples": 4})
        scored = await told(client, "score", files=files(0, 1), params={"samples": 4})
        between = await told(client, "interpolate", json={"seeds": [1, 2], "steps": 3})
        ends = await told(client, "interpolate", files=files(0, 1), params={"steps": 4})

    assert np.shape(sampled["latents"]) == (2, *SHAPE)
    assert decoded["images"] == sampled["images"]
    assert np.shape(encoded["mean"]) == np.shape(encoded["logvar"]) == (2, *SHAPE)
    assert np.shape(shown["mean"]) == (1, *SHAPE)
    assert np.isfinite(shown["bounds"]["elbo"]).all()
    assert np.isfinite(scored["importance_weighted"]).all()
    assert np.shape(between["latents"]) == (3, *SHAPE)
    assert np.shape(ends["latents"]) == (4, *SHAPE)
    np.testing.assert_allclose(ends["latents"][-1], encoded["mean"][1], rtol=1e-4, atol=1e-5)


@in_loop
async def test_the_reference_is_of_what_is_served(workdir: Workdir) -> None:
    """`/score` ranks a bound among the stored ones, which were also computed with maps."""
    async with serving(workdir.bundles) as client:
        scored = await told(client, "score", files=files(3))

    assert open_bundle(workdir.bundles / "digits" / "1").manifest.reference is not None
    assert 0 <= scored["percentile"][0] <= 100
