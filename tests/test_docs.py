"""Compares docs/api.md and docs/client.md with the code, in both directions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from app.api import schemas
from app.api.sample import NearAnswer
from app.api.score import BoundsAnswer
from app.api.verbs import VERBS
from app.cli.encoding import ENDINGS
from app.cli.exits import MEANINGS
from app.cli.parser import COMMANDS, parser
from app.codecs.formats import media_types
from app.errors import STATUS
from app.factory import create_app
from app.inference.batcher import BatchReport
from app.metrics import Metrics
from app.settings import Settings
from vaeserve import AsyncClient, Client

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = (DOCS / "api.md").read_text(encoding="utf-8")
CLIENT_DOCUMENT = (DOCS / "client.md").read_text(encoding="utf-8")


def rows(section: str, header: str, document: str = DOCUMENT) -> list[list[str]]:
    """The cells of the table in a section whose first column has the name `header`."""
    text = document.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    body = text.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in body
    ]


def code(cell: str) -> str:
    return cell.strip("`")


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _routes(app: FastAPI) -> list[APIRoute]:
    found = [
        route
        for route in app.router.routes
        if isinstance(route, APIRoute) and not _is_below(route.path, "/docs")
    ]
    assert {route.path for route in found} >= set(app.openapi()["paths"]) - {"/docs"}
    return found


def test_routes_are_those_of_the_application() -> None:
    """The table lists exactly the routes outside /v2."""
    told = {code(route) for route, _ in rows("Routes", "route")}
    app = create_app(Settings())
    routes = [route for route in _routes(app) if not _is_below(route.path, "/v2")]
    assert told == {f"{method} {route.path}" for route in routes for method in route.methods or ()}


def test_formats_are_those_of_the_verbs() -> None:
    """The table lists exactly the media types that each verb can answer in."""
    told = {}
    for verbs, in_json, png, npy, others in rows("Responses", "verb"):
        columns = ((in_json, "application/json"), (png, "image/png"), (npy, "application/x-npy"))
        types = [media_type for cell, media_type in columns if cell != "no"]
        for verb in verbs.split(", "):
            told[code(verb)] = {*types, *filter(None, map(code, others.split(", ")))}
    assert told == {verb.path: set(media_types(verb.kind)) for verb in VERBS}


def test_settings_are_those_of_the_code() -> None:
    """The table lists exactly the settings, with their defaults and descriptions."""
    told = {
        code(name): (code(default), meaning)
        for name, default, meaning in rows("Settings", "setting")
    }
    assert set(told) == {f"VAE_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default, meaning = told[f"VAE_{name.upper()}"]
        typed: TypeAdapter[Any] = TypeAdapter(cast(Any, field.annotation))
        assert typed.validate_python(default if default != "empty" else "") == field.default
        assert meaning == field.description


def test_error_codes_are_those_of_the_table() -> None:
    """The table lists exactly the error codes, with their statuses."""
    assert {code(name): int(status) for name, status, _ in rows("Errors", "code")} == STATUS


def test_metrics_are_those_that_are_exposed() -> None:
    """The table lists exactly the metrics, with their types and labels."""
    metrics = Metrics()
    metrics.observe_request("/", 200, 0.1)
    metrics.observe_cut("/", "internal")
    metrics.observe_batch("m", "g", BatchReport(1, 0.1, (0.1,), failed=True))
    exposed: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if not family.name.endswith("_created"):
            exposed[name] = (family.type, labels)
    told = {
        code(name): (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in rows("Metrics", "name")
    }
    assert told == exposed


def test_options_are_those_of_the_verbs() -> None:
    """The table lists exactly the options of the verbs."""
    told = {(code(verb), code(option)) for option, verb, _ in rows("Options", "option")}
    assert told == {(verb.path, name) for verb in VERBS for name in verb.options.model_fields}


def test_members_are_those_of_the_answers() -> None:
    """The table lists exactly the members of each verb's response."""
    told: set[tuple[str, str]] = set()
    for member, places, _ in rows("Responses", "member"):
        every = places == "every verb"
        where = [verb.path for verb in VERBS] if every else map(code, places.split(", "))
        told |= {(place, code(member)) for place in where}
    answers = {verb.path: verb.answer for verb in VERBS}
    answers |= {"latents_near": NearAnswer, "bounds": BoundsAnswer}
    assert told == {
        (place, name) for place, model in answers.items() for name in model.model_fields
    }


def test_headers_are_those_that_the_code_sends() -> None:
    """The table lists exactly the `X-` headers that the code sends."""
    root = Path(__file__).parent.parent / "app"
    sources = "\n".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py"))
    sent = {name.lower() for name in re.findall(r'b?"(X-[A-Za-z-]+)"', sources, re.IGNORECASE)}
    told = {code(name).lower() for name, _, _ in rows("Headers", "header")}
    assert {name for name in told if name.startswith("x-")} == sent


def test_commands_are_those_of_the_command_line() -> None:
    """The table lists exactly the commands with their help, and the examples parse."""
    told = rows("From a shell", "command", CLIENT_DOCUMENT)
    assert {code(name): meaning.lower() for name, meaning in told} == {
        name: f"{meaning}.".lower() for name, meaning in COMMANDS.items()
    }
    examples = CLIENT_DOCUMENT.split("```sh\n", 1)[1].split("```", 1)[0].splitlines()
    shown = [parser({}).parse_args(shlex.split(line)[1:]).command for line in examples]
    assert sorted([*shown, "serve"]) == sorted(COMMANDS)


def test_exit_codes_are_those_of_the_command_line() -> None:
    """The table lists exactly the exit codes, with their meanings."""
    told = rows("From a shell", "exit code", CLIENT_DOCUMENT)
    assert {int(number): meaning.lower() for number, meaning in told} == {
        number.value: f"{meaning}.".lower() for number, meaning in MEANINGS.items()
    }


def test_endings_are_those_that_encode_writes() -> None:
    """The table lists exactly the kinds of files that `encode` writes."""
    told = rows("From a shell", "ending", CLIENT_DOCUMENT)
    assert {code(ending) for ending, _ in told} == set(ENDINGS)


def test_methods_are_those_of_both_clients() -> None:
    """Every method of the clients stands in docs/client.md, and no other."""
    told = {code(name) for name, *_ in rows("From Python", "method", CLIENT_DOCUMENT)}
    for client in (Client, AsyncClient):
        assert told == {name for name in vars(client) if not name.startswith("_")} - {"close"}


def test_members_of_maps_are_those_of_the_answer() -> None:
    """The table lists exactly the members of the stored latents."""
    told = [code(member) for member, _ in rows("Maps and cards", "member")]
    assert told == list(schemas.StoredLatentsAnswer.model_fields)
