"""Compares docs/protocols.md with the routes of the application."""

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
    """The rows of the table after `before`: calls, routes and responses."""
    lines = SECTION.split(before, 1)[1].lstrip("\n").split("\n\n", 1)[0].splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return [(re.findall(r"`(\w+)`", a), re.findall(r"`([^`]+)`", b), c) for a, b, c in cells]


CALLS = table("### Calls\n")
ABSENT = table("Not implemented:\n")


def test_the_calls_are_the_routes_of_the_application() -> None:
    """The table lists exactly the routes below /v2."""
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
    """The table lists exactly the routes below /remote-vae."""
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
    """The tables list exactly the calls with which the client contacts the server."""
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
    """GET and POST on traces, logging and shared memory return the protocol's 404."""
    arithmetic_bundle.write(tmp_path)
    path = route.replace("{model}", "arithmetic-encoder").replace("{region}", "r")
    async with serving(tmp_path) as client:
        for answer in (await client.get(path), await client.post(path, content=b"{}")):
            assert answer.status_code == 404
            assert list(answer.json()) == ["error"]


def test_the_extensions_are_those_that_are_advertised() -> None:
    """The document names every extension, including the optional one."""
    sentence = SECTION.split("`GET /v2` advertises", 1)[1].split("\n\n", 1)[0]
    advertised = (*metadata.EXTENSIONS, metadata.REPOSITORY_EXTENSION)
    assert tuple(re.findall(r"`(\w+)`", sentence)) == advertised


def test_the_errors_are_those_of_openapi() -> None:
    """The document lists exactly the error statuses that OpenAPI gives for the routes."""
    paths = create_app(Settings()).openapi()["paths"]
    routes = {path: paths[path]["post"]["responses"] for path in paths if "post" in paths[path]}
    told = {int(status) for status in re.findall(r"^\| (\d{3}) \|", SECTION, re.MULTILINE)}
    # OpenAPI has no 405: a path without an operation says the same.
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
    """The first table has a row for each model of a bundle."""
    assert tuple(re.findall(r"^\| `<bundle>-(\w+)`", SECTION, re.MULTILINE)) == DERIVED_KINDS
