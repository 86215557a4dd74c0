"""The models over HTTP: what there is, what serves, and why not."""

from __future__ import annotations

from pathlib import Path

from model.bundle.bundle import DECODER
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import client_of, context_of, loaded, running, serving


@in_loop
async def test_lists_and_describes(repository: Path) -> None:
    """A model is listed with its version, provider and verbs, and described by its manifest."""
    async with serving(repository) as client:
        listed = (await client.get("/models")).json()
        described = (await client.get("/models/arithmetic")).json()
    assert listed["default"] == "arithmetic"
    [model] = listed["models"]
    assert (model["serving"], model["ready"], model["default"]) == (1, True, True)
    assert model["provider"] == "CPUExecutionProvider"
    every = ["sample", "encode", "decode", "reconstruct", "interpolate", "score"]
    assert model["verbs"] == every
    assert model["manifest"] is None
    assert described["manifest"]["latent"]["shape"] == [2]


@in_loop
async def test_a_model_without_likelihood_is_listed_without_score(tmp_path: Path) -> None:
    """Only verbs that the bundle can answer are listed."""
    arithmetic_bundle.write(tmp_path, likelihood=None)
    async with serving(tmp_path) as client:
        model = (await client.get("/models/arithmetic")).json()
    assert model["verbs"] == ["sample", "encode", "decode", "reconstruct", "interpolate"]


@in_loop
async def test_a_model_of_latent_maps_offers_remote_vae(maps: Path) -> None:
    """Which verbs there are depends on the model."""
    async with serving(maps) as client:
        model = (await client.get("/models/maps")).json()
    assert model["verbs"][-2:] == ["remote-vae/decode", "remote-vae/encode"]
    assert model["manifest"]["input"]["sizes"] == {"min": 4, "max": 32, "multiple": 4}


@in_loop
async def test_a_broken_version_shows_its_reason_beside_the_one_that_serves(
    tmp_path: Path,
) -> None:
    """When a lower version serves, the reason of the highest one is there to read."""
    arithmetic_bundle.write(tmp_path, version=1)
    (arithmetic_bundle.write(tmp_path, version=2).folder / DECODER).unlink()
    async with serving(tmp_path) as client:
        model = (await client.get("/models/arithmetic")).json()
        ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert model["serving"] == 1
    assert [version["state"] for version in model["versions"]] == ["unavailable", "ready"]
    assert "decoder.onnx: missing" in model["versions"][0]["reason"]


@in_loop
async def test_a_model_that_can_not_serve_is_described_without_a_manifest(
    tmp_path: Path,
) -> None:
    """A model none of whose versions serves is listed, not ready, with its reason."""
    (arithmetic_bundle.write(tmp_path).folder / DECODER).unlink()
    async with serving(tmp_path) as client:
        model = (await client.get("/models/arithmetic")).json()
    assert (model["ready"], model["serving"], model["manifest"]) == (False, None, None)
    assert model["verbs"] == []


@in_loop
async def test_states_and_reasons_of_all_versions_show(tmp_path: Path) -> None:
    """What serves, what is damaged and what was unloaded stand beside each other."""
    for name in ("serves", "rests"):
        arithmetic_bundle.write(tmp_path, name=name)
    (arithmetic_bundle.write(tmp_path, name="serves", version=2).folder / DECODER).unlink()
    async with running(tmp_path) as app, client_of(app) as client:
        await loaded(app)
        await context_of(app).registry.unload("rests")
        models = (await client.get("/models")).json()["models"]
        refused = await client.post("/sample", params={"model": "rests"})
    shown = {
        (model["name"], version["version"]): (model["serving"], version["state"])
        for model in models
        for version in model["versions"]
    }
    assert shown == {
        ("rests", 1): (None, "unloaded"),
        ("serves", 2): (1, "unavailable"),
        ("serves", 1): (1, "ready"),
    }
    assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
    assert "it is unloaded" in refused.json()["detail"]


@in_loop
async def test_an_unknown_model_is_a_404(repository: Path) -> None:
    """The names that there are stand in the error."""
    async with serving(repository) as client:
        answer = await client.get("/models/other")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert "arithmetic" in answer.json()["detail"]
