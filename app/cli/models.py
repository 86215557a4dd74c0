"""`models`: what the service has, and what each can do."""

from __future__ import annotations

import argparse
import json
from typing import Any

from app.cli.connect import client_of
from app.cli.exits import Exit


def models(options: argparse.Namespace) -> Exit:
    """Prints each model with its versions, and the reason where one does not serve."""
    with client_of(options) as client:
        found = client.models()
    if options.json:
        for model in found["models"]:
            # The number of a version is called `number`.
            model["versions"] = [{"number": one.pop("version"), **one} for one in model["versions"]]
        print(json.dumps(found, indent=2, ensure_ascii=False))  # noqa: T201 the result
        return Exit.DONE
    for model in found["models"]:
        print(_line(model))  # noqa: T201 the result
        for one in model["versions"]:
            reason = f": {one['reason']}" if one["reason"] else ""
            print(f"  {one['version']}  {one['state']}{reason}")  # noqa: T201 the result
    return Exit.DONE


def _line(model: dict[str, Any]) -> str:
    default = " (default)" if model["default"] else ""
    serving = f"version {model['serving']} serves" if model["ready"] else "does not serve"
    verbs = f": {', '.join(model['verbs'])}" if model["verbs"] else ""
    return f"{model['name']}{default} {serving}{verbs}"
