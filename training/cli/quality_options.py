"""The options of `vaetrain quality`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.config.overrides import add_set

HELP = "measure samples as digits of MNIST; figures of a run go to its metrics"


def add(command: argparse.ArgumentParser) -> None:
    """Adds them to the command."""
    measured = command.add_mutually_exclusive_group(required=True)
    measured.add_argument("--workdir", type=Path, help="the run's folder")
    measured.add_argument("--bundle", type=Path, help="a bundle's folder, ROOT/NAME/VERSION")
    command.add_argument("--data", metavar="SOURCE", help="MNIST, for a bundle (ylecun/mnist)")
    add_set(command)


def run(options: argparse.Namespace) -> None:
    """Measures a run or a bundle; errors as for `quality` and `bundle_quality`."""
    # Imported late, as torch takes seconds and `--help` should not.
    from training.evaluation.sample_quality import MNIST, bundle_quality, quality

    if options.bundle:
        bundle_quality(options.bundle, options.data or MNIST, options.set)
    else:
        quality(options.workdir, options.set)
