"""The options of `vaetrain import-diffusers`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from model.bundle.manifest import Name
from training.errors import ForeignModelError
from training.text import printable

HELP = "make a bundle of a model that diffusers saved"


def add(command: argparse.ArgumentParser) -> None:
    """Adds them to the command."""
    command.add_argument("source", help="a folder with an AutoencoderKL, or its name on the hub")
    command.add_argument("--subfolder", help="where it lies in a whole pipeline, such as vae")
    command.add_argument("--revision", help="of the hub's repository")
    command.add_argument("--name", required=True, help="the model's name")
    command.add_argument("--version", type=_positive, default=1, help="of the bundle (1)")
    command.add_argument(
        "--repository",
        type=Path,
        default=Path("bundles"),
        metavar="FOLDER",
        help="where the bundle goes, as NAME/VERSION (bundles)",
    )
    command.add_argument("--licence", default="unknown", help="that the weights are under")
    command.add_argument("--card", default="", help="a few sentences: what it is, and is not for")
    for side in ("height", "width"):
        command.add_argument(
            f"--{side}", type=_positive, help="of images where nobody says (the model's own)"
        )
    command.add_argument(
        "--max-size", type=_positive, default=1024, help="largest height and width (1024)"
    )


def run(options: argparse.Namespace) -> None:
    """Imports, and says where the bundle is.

    Raises:
        ForeignModelError: a name that no bundle can have, or as `import_diffusers` raises.
        ParityError: the graphs do not compute what the model computes.
    """
    try:
        TypeAdapter(Name).validate_python(options.name)
    except ValidationError as error:
        msg = f"--name {options.name}: {error.errors()[0]['msg']}"
        raise ForeignModelError(msg) from error
    # Imported late, as torch takes seconds and `--help` should not.
    from training.bundle.import_diffusers import Target, import_diffusers

    target = Target(
        root=options.repository,
        name=options.name,
        version=options.version,
        licence=options.licence,
        card=options.card,
        max_size=options.max_size,
        height=options.height,
        width=options.width,
    )
    bundle = import_diffusers(
        options.source, target, subfolder=options.subfolder, revision=options.revision
    )
    print(printable(f"{bundle.folder}: written"), file=sys.stderr)  # noqa: T201


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        msg = f"must be a positive integer, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
