"""The OpenAPI document: examples that work when pasted, and nothing that is not there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from app.api import openapi
from app.api.dependencies import Context
from app.api.verbs import VERBS
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import client_of, loaded, running, serving


@in_loop
async def test_every_example_works_when_pasted(repository: Path) -> None:
    """Each verb has a request example, and posting it to the live application gives 200."""
    async with serving(repository) as client:
        document = (await client.get("/openapi.json")).json()
        tried = []
        for path, operations in document["paths"].items():
            content = operations.get("post", {}).get("requestBody", {}).get("content", {})
            for media_type, body in content.items():
                if "example" in body:
                    answer = await client.post(
                        path,
                        content=json.dumps(body["example"]),
                        headers={"Content-Type": media_type},
                    )
                    assert answer.status_code == 200, (path, answer.text)
                    tried.append(path)
    assert sorted(tried) == sorted(verb.path for verb in VERBS)


@in_loop
async def test_every_verb_shows_an_answer(repository: Path) -> None:
    """Each verb has a summary and an example answer of the shape that its schema has."""
    async with serving(repository) as client:
        document = (await client.get("/openapi.json")).json()
    for verb in VERBS:
        operation = document["paths"][verb.path]["post"]
        assert operation["summary"]
        body = operation["responses"]["200"]["content"]["application/json"]
        name = body["schema"]["$ref"].rsplit("/", 1)[1]
        assert set(body["example"]) == set(document["components"]["schemas"][name]["properties"])
        assert name == verb.answer.__name__
        verb.answer.model_validate(body["example"])


@in_loop
async def test_the_document_is_closed(repository: Path) -> None:
    """Every reference leads to a schema of the document, and every option is a parameter."""
    async with serving(repository) as client:
        document = (await client.get("/openapi.json")).json()
    components = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in components
    for verb in VERBS:
        declared = document["paths"][verb.path]["post"]["parameters"]
        assert {item["name"] for item in declared} == {
            "model", "version", *verb.options.model_fields
        }  # fmt: skip
    assert "HTTPValidationError" not in components


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in _references(item)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for item in node.values() for found in _references(item)]
    return []


@in_loop
async def test_the_latent_example_fits_the_default_model(repository: Path) -> None:
    """The example of `/decode` has the latent shape of the model that will answer it."""
    async with serving(repository) as client:
        document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/decode"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == {"latents": [[0.0, 0.0]]}


@in_loop
async def test_two_applications_do_not_share_a_document(tmp_path: Path) -> None:
    """Each application's document is its own, and no application is kept alive by another's."""
    arithmetic_bundle.write(tmp_path)
    titles = []
    for title in ("one", "two"):
        async with running(tmp_path) as app:
            app.title = title
            await loaded(app)
            async with client_of(app) as client:
                document = (await client.get("/openapi.json")).json()
            titles.append(document["info"]["title"])
            assert isinstance(app.state.context, Context)
        await asyncio.sleep(0)
    assert titles == ["one", "two"]


def test_the_example_image_is_a_ring() -> None:
    """The image in the examples is dark in the middle and outside, and bright between."""
    ring = openapi.example_image()
    assert ring.shape == (28, 28, 1)
    assert ring[0, 0, 0] == ring[14, 14, 0] == 0
    assert ring.max() == 255
