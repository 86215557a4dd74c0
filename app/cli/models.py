"""`models`: what the service has, and what each can do."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from app.cli.connect import client_of
from app.cli.exits import Exit
from vaeserve.results import Model


def models(options: argparse.Namespace) -> Exit:
    """Prints each model with its versions, and the reason where one does not serve."""
    with client_of(options) as client:
        found = client.models()
    if options.json:
        document = asdict(found)
        for model in document["models"]:
            # The number of a version is called `number`.
            model["versions"] = [{"number": one.pop("version"), **one} for one in model["versions"]]
        print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201 the result
        return Exit.DONE
    for one in found.models:
        print(_line(one))  # noqa: T201 the result
        for version in one.versions:
            reason = f": {version.reason}" if version.reason else ""
            print(f"  {version.version}  {version.state}{reason}")  # noqa: T201 the result
    return Exit.DONE


def _line(model: Model) -> str:
    default = " (default)" if model.default else ""
    serving = f"version {model.serving} serves" if model.ready else "does not serve"
    verbs = f": {', '.join(model.verbs)}" if model.verbs else ""
    return f"{model.name}{default} {serving}{verbs}"
