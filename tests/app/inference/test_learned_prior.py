"""A model whose prior is a mixture, as it is served: draws, figures, and what is left out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from model.prior.mixture import Mixture
from tests import arithmetic_bundle
from tests.app.live import live
from tests.app.loops import in_loop
from tests.arithmetic_bundle import SIZE
from tests.vaeserve.test_client import service
from vaeserve.client import Client

MIXTURE = Mixture(
    weights=np.array([0.25, 0.75]),
    means=np.array([[0.25, 0], [0.75, 1]], np.float32),
    scales=np.array([[0.125, 1], [0.25, 2]], np.float32),
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the arithmetic bundle with a mixture; not to be written to."""
    root = tmp_path_factory.mktemp("mixed")
    arithmetic_bundle.write(root, mixture=MIXTURE)
    return root


def expected(seed: int, n: int, temperature: float = 1.0) -> list[list[float]]:
    temperatures = np.full(n, temperature, np.float32)
    latents: list[list[float]] = MIXTURE.draw([seed] * n, range(n), temperatures, (2,)).tolist()
    return latents


async def sampled(client: httpx.AsyncClient, **options: Any) -> dict[str, Any]:
    answer = await client.post("/sample", json=options)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told | {"latents": exact(told)}


def exact(told: dict[str, Any]) -> list[list[float]]:
    """The latents of an answer, all digits of the float32 that its shortest text stands for."""
    latents: list[list[float]] = np.array(told["latents"], np.float32).tolist()
    return latents


@in_loop
async def test_samples_are_drawn_from_the_mixture(mixed: Path) -> None:
    """Row i depends on the seed and i alone, the temperature scales its deviation from its
    component's mean, and what is told is what was decoded."""
    async with live(mixed) as (_, client):
        many = await sampled(client, n=9, seed=5)
        few = await sampled(client, n=2, seed=5)
        calm = await sampled(client, n=9, seed=5, temperature=0.25)
        unseeded = await sampled(client, n=1, temperature=0.5)
        body = {"latents": many["latents"]}
        decoded = (await client.post("/decode", json=body)).json()
    assert many["latents"] == expected(5, 9)
    assert few["latents"] == many["latents"][:2]
    assert calm["latents"] == expected(5, 9, 0.25)
    assert unseeded["latents"] == expected(unseeded["seed"], 1, 0.5)
    assert many["images"] == decoded["images"]


@in_loop
async def test_streams_and_interpolations_draw_alike(mixed: Path) -> None:
    """An archive holds the images of the same rows, and a seed's end is its row 0."""
    async with live(mixed) as (_, client):
        body, zipped = {"n": 3, "seed": 5}, {"Accept": "application/zip"}
        archive = await client.post("/sample", json=body, headers=zipped)
        told = await sampled(client, **body)
        between = await client.post("/interpolate", json={"seeds": [5, 6], "steps": 2})
    assert archive.content.count(b"\x89PNG") == 3
    assert told["latents"] == expected(5, 3)
    assert exact(between.json()) == [*expected(5, 1), *expected(6, 1)]


@in_loop
async def test_around_a_latent_the_unit_stays_one(mixed: Path) -> None:
    """Near something nothing is drawn from the prior: z = latent + r · ε, as for every model."""
    async with live(mixed) as (_, client):
        near = {"latent": [0.5, 0.5], "radius": 0}
        told = await sampled(client, n=1, seed=1, latents_near=near)
    assert told["latents"] == [[0.5, 0.5]]


def png(level: int) -> dict[str, tuple[str, bytes, str]]:
    file = io.BytesIO()
    Image.new("L", (SIZE, SIZE), level).save(file, "PNG")
    return {"images": ("a.png", file.getvalue(), "image/png")}


@in_loop
async def test_the_kl_is_estimated_or_left_out(mixed: Path) -> None:
    """Without draws there is no KL, in JSON and in headers; with them the ELBO is the likelihood
    less the estimate, and the weights know the mixture."""
    async with live(mixed) as (_, client):
        plain = await client.post("/reconstruct", files=png(0))
        raw = await client.post("/reconstruct", files=png(0), headers={"Accept": "image/png"})
        options = {"elbo_samples": 1024, "seed": 1}
        bounded = await client.post("/reconstruct", files=png(0), params=options)
        scored = await client.post("/score", files=png(0), params={"samples": 1024, "seed": 1})
    assert plain.json()["kl"] is None
    assert "x-vae-squared-error" in raw.headers
    assert "x-vae-kl" not in raw.headers
    bounds = bounded.json()["bounds"]
    figures = scored.json()
    assert bounds["kl"] == figures["kl"]
    assert figures["elbo"] == pytest.approx(np.subtract(figures["reconstruction"], figures["kl"]))
    # q = N(0, I) here: its log-densities and the mixture's, averaged over it without the service.
    latents = np.random.default_rng(0).standard_normal((200_000, 2)).astype(np.float32)
    log_q = -0.5 * np.square(latents.astype(float)).sum(axis=1) - np.log(2 * np.pi)
    kl = float((log_q - MIXTURE.log_density(latents)).mean())
    assert figures["kl"] == pytest.approx([kl], rel=0.1)
    # A black image: p(x) = ∫ N(0; z₁, I) p(z₁), each component's in closed form.
    assert figures["importance_weighted"] == pytest.approx([evidence()], abs=0.3)


def evidence() -> float:
    """log p of the black image: x ~ N(z₁ 1, I), so that Σ x² = 0 has the density
    N(0; m, s² + 1/16) of the average, times what the other 15 directions have."""
    variance = np.square(MIXTURE.scales[:, 0].astype(float)) + 1 / 16
    means = MIXTURE.means[:, 0].astype(float)
    averages = np.exp(-0.5 * means**2 / variance) / np.sqrt(2 * np.pi * variance)
    rest = -15 / 2 * np.log(2 * np.pi) - 0.5 * np.log(16)
    return float(np.log(MIXTURE.weights @ averages) + rest)


@in_loop
async def test_the_manifest_tells_the_prior(mixed: Path) -> None:
    """`GET /models/{name}` says what is drawn from."""
    async with live(mixed) as (_, client):
        told = (await client.get("/models/arithmetic")).json()
    assert told["manifest"]["prior"] == {"family": "mixture", "components": 2}


def test_the_client_takes_what_is_left_out(mixed: Path) -> None:
    """Reconstructions come without a KL, and draws are those of the mixture, streamed or not."""
    made: Client
    with service(mixed, max_n=4) as (made, _):
        rebuilt = made.reconstruct(np.zeros((1, SIZE, SIZE, 1), np.uint8))
        drawn = made.sample(3, seed=5, latents=True).latents
        assert made.sample(9, seed=5).images.shape[0] == 9
    assert rebuilt.kl is None
    assert drawn is not None
    assert drawn.tolist() == expected(5, 3)
