"""`models`: what the service has, and what each can do."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import orjson

from app.cli.exits import Exit
from app.cli.service import client_of
from vaeserve.results import Model, Models


def models(options: argparse.Namespace) -> Exit:
    """Prints each model with its versions, and the reason where one does not serve."""
    with client_of(options) as client:
        found = client.models()
    if options.json:
        print(orjson.dumps(_document(found), option=orjson.OPT_INDENT_2).decode())  # noqa: T201
        return Exit.DONE
    for model in found.models:
        print(_line(model))  # noqa: T201 the result
        for version in model.versions:
            reason = f": {version.reason}" if version.reason else ""
            print(f"  {version.version}  {version.state}{reason}")  # noqa: T201 the result
    return Exit.DONE


def _document(found: Models) -> dict[str, Any]:
    """The models as JSON, in which the number of a version is called `number`."""
    document = asdict(found)
    for model in document["models"]:
        model["versions"] = [
            {"number": version.pop("version"), **version} for version in model["versions"]
        ]
    return document


def _line(model: Model) -> str:
    default = " (default)" if model.default else ""
    serving = f"version {model.serving} serves" if model.ready else "does not serve"
    verbs = f": {', '.join(model.verbs)}" if model.verbs else ""
    return f"{model.name}{default} {serving}{verbs}"
