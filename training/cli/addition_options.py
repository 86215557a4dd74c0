"""The options of `vaetrain add-reference`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.config.overrides import add_set
from training.text import printable

HELP = "write a bundle's next version: the same graphs, a reference, posterior means, a card"


def add(command: argparse.ArgumentParser) -> None:
    """Adds them to the command."""
    command.add_argument("bundle", type=Path, help="the bundle's folder, ROOT/NAME/VERSION")
    command.add_argument("--data", metavar="SOURCE", required=True, help="what it was trained on")
    command.add_argument("--root", type=Path, help="where to write it (beside the bundle)")
    command.add_argument("--version", type=int, help="its version (one more than the bundle's)")
    add_set(command)


def run(options: argparse.Namespace) -> None:
    """Writes the next version, and says where it is; errors as for `add_reference`."""
    # Imported late, as torch takes seconds and `--help` should not.
    from training.bundle.add_reference import add_reference

    written = add_reference(
        options.bundle,
        options.data,
        root=options.root,
        version=options.version,
        overrides=options.set,
    )
    print(printable(str(written.folder)))  # noqa: T201
