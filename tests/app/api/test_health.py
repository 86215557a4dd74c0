"""Liveness, readiness and the plain page."""

from __future__ import annotations

import re
from pathlib import Path

from model.bundle.bundle import DECODER
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import client_of, loaded, running, serving


@in_loop
async def test_the_server_is_live_at_once_and_ready_when_the_models_are(repository: Path) -> None:
    """Before the models are loaded the server is live and not ready, with the reason."""
    async with running(repository) as app, client_of(app) as client:
        assert (await client.get("/livez")).json() == {"status": "live"}
        early = await client.get("/readyz")
        await loaded(app)
        late = await client.get("/readyz")
    assert early.status_code == 503
    assert early.json()["status"] == "not ready"
    assert "still loading" in early.json()["problems"][0]
    assert (late.status_code, late.json()) == (
        200,
        {"status": "ready", "problems": [], "warnings": []},
    )


@in_loop
async def test_a_damaged_bundle_leaves_the_server_live_and_not_ready(tmp_path: Path) -> None:
    """The server starts, says which file is damaged, and `vae_ready` is 0."""
    path = arithmetic_bundle.write(tmp_path).folder / DECODER
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    async with serving(tmp_path) as client:
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        figures = (await client.get("/metrics")).text
    assert ready.status_code == 503
    assert "decoder.onnx" in ready.json()["problems"][0]
    assert "vae_ready 0.0" in figures


@in_loop
async def test_a_damaged_version_is_told_while_another_serves(tmp_path: Path) -> None:
    """The server is ready with the lower version, and warns of the higher one by its file."""
    arithmetic_bundle.write(tmp_path, version=1)
    path = arithmetic_bundle.write(tmp_path, version=2).folder / DECODER
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    async with serving(tmp_path) as client:
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["problems"]) == (200, [])
    [warning] = ready.json()["warnings"]
    assert warning.startswith("arithmetic/2: ")
    assert "decoder.onnx" in warning


@in_loop
async def test_a_default_that_is_not_there_is_not_ready(repository: Path) -> None:
    """With a wrong default model the server says which models there are."""
    async with serving(repository, default_model="mnist") as client:
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "'mnist' is required but was not found; found: arithmetic" in ready.json()["problems"][0]


@in_loop
async def test_the_root_names_the_routes(repository: Path) -> None:
    """The plain page names every verb, and each route that it names is there."""
    async with serving(repository) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        page = (await client.get("/")).text
        for line in page.splitlines():
            if line.startswith("  GET"):
                assert (await client.get(line.split()[1])).status_code == 200
            elif line.startswith("  POST"):
                assert (await client.get(line.split()[1])).status_code == 405
    verbs = {path for path, methods in paths.items() if "post" in methods}
    # The protocol below /v2 has many routes, and describes itself.
    assert set(re.findall(r"POST (\S+)", page)) == {
        path for path in verbs if not path.startswith("/v2/")
    }
    assert re.search(r"^  GET  /v2 ", page, re.MULTILINE)
