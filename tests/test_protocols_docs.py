"""docs/protocols.md says what is implemented of each protocol: compared with the routes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tritonclient.http
import tritonclient.http.aio
from fastapi.routing import APIRoute

from app.factory import create_app
from app.protocols.oip import metadata
from app.settings import Settings
from model.bundle.manifest import DERIVED_KINDS
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving

DOCUMENT = (Path(__file__).parent.parent / "docs" / "protocols.md").read_text(encoding="utf-8")
SECTION = DOCUMENT.split("\n## Open Inference Protocol\n", 1)[1].split("\n## ", 1)[0]

Rows = list[tuple[list[str], list[str], str]]


def table(before: str) -> Rows:
    """The rows of the table behind some words: calls, routes, and what they answer."""
    lines = SECTION.split(before, 1)[1].lstrip("\n").split("\n\n", 1)[0].splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return [(re.findall(r"`(\w+)`", a), re.findall(r"`([^`]+)`", b), c) for a, b, c in cells]


CALLS = table("### Calls\n")
ABSENT = table("What is not there:\n")


def test_the_calls_are_the_routes_of_the_application() -> None:
    """Every route below /v2 stands in the table, and every route of the table is there."""
    routes = [route for route in create_app(Settings()).routes if isinstance(route, APIRoute)]
    there = [
        f"{method} {route.path}"
        for route in routes
        if route.path == "/v2" or route.path.startswith("/v2/")
        for method in route.methods or ()
    ]
    told = [route for _, routes_, _ in CALLS for route in routes_]
    assert sorted(told) == sorted(there)


def test_remote_vae_is_the_routes_of_the_application() -> None:
    """Every route below /remote-vae stands in that protocol's table, and the other way round."""
    section = DOCUMENT.split("\n## Remote VAE\n", 1)[1].split("\n## ", 1)[0]
    told = set(re.findall(r"^\| `remote_\w+\([^|]*\)` \| `([^`]+)` \|", section, re.MULTILINE))
    routes = [route for route in create_app(Settings()).routes if isinstance(route, APIRoute)]
    there = {
        f"{method} {route.path}"
        for route in routes
        if route.path.startswith("/remote-vae/")
        for method in route.methods or ()
    }
    assert told == there


def test_the_calls_are_those_of_the_client() -> None:
    """Every call that goes to the server stands in one of the tables, and the client has it."""
    told = {name for calls, _, _ in (*CALLS, *ABSENT) for name in calls}
    of_the_client = {
        name
        for module in (tritonclient.http, tritonclient.http.aio)
        for name in vars(module.InferenceServerClient)
        if re.match(r"(is|get|update|load|unload|infer|async_infer)(_|$)", name)
    }
    assert told == of_the_client


@pytest.mark.parametrize("route", [route for _, routes, _ in ABSENT for route in routes])
@in_loop
async def test_what_is_not_there_is_a_404_of_the_protocol(tmp_path: Path, route: str) -> None:
    """Traces, logging and shared memory are answered as the protocol has it, by either method."""
    arithmetic_bundle.write(tmp_path)
    path = route.replace("{model}", "arithmetic-encoder").replace("{region}", "r")
    async with serving(tmp_path) as client:
        for answer in (await client.get(path), await client.post(path, content=b"{}")):
            assert answer.status_code == 404
            assert list(answer.json()) == ["error"]


def test_the_extensions_are_those_that_are_advertised() -> None:
    """The document names them, and the one that has to be switched on."""
    sentence = SECTION.split("`GET /v2` advertises", 1)[1].split("\n\n", 1)[0]
    advertised = (*metadata.EXTENSIONS, metadata.REPOSITORY_EXTENSION)
    assert tuple(re.findall(r"`(\w+)`", sentence)) == advertised


def test_the_errors_are_those_of_openapi() -> None:
    """A status of the document's table is told of a route, and one of a route stands in it."""
    paths = create_app(Settings()).openapi()["paths"]
    routes = {path: paths[path]["post"]["responses"] for path in paths if "post" in paths[path]}
    told = {int(status) for status in re.findall(r"^\| (\d{3}) \|", SECTION, re.MULTILINE)}
    # That a path takes another method is said by its having no such operation.
    of_infer = {400, 404, 408, 413, 415, 429, 500, 501, 503, 504}
    of_load = {400, 403, 404, 408, 413, 501, 503}
    assert told == of_infer | of_load | {405}
    for path, statuses in (
        ("/v2/models/{model}/infer", of_infer),
        ("/v2/models/{model}/versions/{version}/infer", of_infer),
        ("/v2/repository/models/{model}/load", of_load),
        ("/v2/repository/models/{model}/unload", of_load),
        ("/v2/repository/index", {400, 408, 413}),
    ):
        assert {int(status) for status in routes[path]} - {200, 422} == statuses


def test_the_models_are_those_that_bundles_are_served_as() -> None:
    """The document's first table has a row for each."""
    assert tuple(re.findall(r"^\| `<bundle>-(\w+)`", SECTION, re.MULTILINE)) == DERIVED_KINDS
