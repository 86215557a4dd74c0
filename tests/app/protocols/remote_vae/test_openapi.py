"""app/protocols/remote_vae/openapi.py and docs/protocols.md: both say what the routes take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from app.factory import create_app
from app.protocols.remote_vae.query import DecodeQuery, EncodeQuery
from app.settings import Settings

ROOT = Path(__file__).parents[4]
SECTION = (
    (ROOT / "docs" / "protocols.md")
    .read_text(encoding="utf-8")
    .split("\n## Remote VAE\n", 1)[1]
    .split("\n## ", 1)[0]
)
ROUTES = ("decode", "encode")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose first column is called `header`."""
    body = SECTION.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def described() -> dict[str, dict[str, Any]]:
    paths = create_app(Settings()).openapi()["paths"]
    return {route: paths[f"/remote-vae/{route}"]["post"] for route in ROUTES}


def test_the_parameters_are_documented() -> None:
    """Every parameter of OpenAPI stands in the document beside its route, and no other."""
    told = {
        (route, name)
        for names, routes, _ in rows("parameter")
        for name in re.findall(r"`(\w+)`", names)
        for route in (ROUTES if routes == "both" else [routes])
    }
    assert told == {
        (route, parameter["name"])
        for route, operation in described().items()
        for parameter in operation["parameters"]
    }


def test_the_parameters_are_those_that_are_read() -> None:
    """Every parameter but the target, which every verb has, is a field of the route's query."""
    for route, query in (("decode", DecodeQuery), ("encode", EncodeQuery)):
        names = [parameter["name"] for parameter in described()[route]["parameters"]]
        assert names == ["model", "version", *query.model_fields]


def test_the_routes_are_documented() -> None:
    """Every row of the table of calls is a route that there is, and both are there."""
    told = {route.strip("`") for _, route, _ in rows("call")}
    assert told == {f"POST /remote-vae/{route}" for route in ROUTES}
    for operation in described().values():
        assert "tensor/binary" in operation["responses"]["200"]["content"]
        assert {"shape", "dtype"} == set(operation["responses"]["200"]["headers"])
