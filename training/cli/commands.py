"""What each command of `vaetrain` calls, and what it prints.

Rooms with torch are imported when a command runs: torch takes seconds, and `--help` should not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from model.bundle.manifest import name_problem
from training.config.overrides import Override
from training.config.presets import read_config
from training.errors import ConfigError, DataError, ForeignModelError
from training.text import printable

_SHORTCUTS = ("data.source", "init", "seed", "threads", "device")
"""Settings that have an option of their own."""


def given_overrides(options: argparse.Namespace) -> list[str | Override]:
    """The settings that a command was given; options win over `--set`."""
    shortcuts = [
        Override(key, value, f"--{key.removesuffix('.source')} {value}")
        for key in _SHORTCUTS
        if (value := getattr(options, key, None)) is not None
    ]
    return [*options.set, *shortcuts]


def train(options: argparse.Namespace) -> None:
    """Runs `fit`, or all stages; errors as for each of them."""
    from training.cli import stages

    config = read_config(options.preset, given_overrides(options))
    workdir = options.workdir or Path("runs") / Path(options.preset).stem
    stage = stages.run if options.command == "run" else stages.fit
    stage(config, workdir, resume=options.resume)


def run_stage(options: argparse.Namespace) -> None:
    """Runs one stage after `fit`."""
    from training.cli import stages

    stages.STAGES[options.command](options.workdir, options.set)


def add_reference(options: argparse.Namespace) -> None:
    """Writes a bundle's next version, and says where it is."""
    from training.bundle.add_reference import add_reference

    written = add_reference(
        options.bundle,
        options.data,
        root=options.root,
        version=options.version,
        overrides=options.set,
    )
    print(printable(str(written.folder)))  # noqa: T201


def check(options: argparse.Namespace) -> None:
    """Checks images, and prints the outcome.

    Raises:
        DataError: a run with these settings and images would be refused.
    """
    from training.check.check import check
    from training.cli import check_report

    config = read_config(options.preset, given_overrides(options))
    checked = check(config, options.out)
    if options.json:
        _print_json(checked.document())
    else:
        check_report.show(checked, Console(highlight=False, soft_wrap=True))
    if checked.problems:
        raise DataError(f"{config.data.source}: a run would fail: {'; '.join(checked.problems)}")


def compare(options: argparse.Namespace) -> None:
    """Compares runs, as a table, JSON or a page."""
    from training.reports import comparison, comparison_report
    from training.reports.run_record import read_record

    compared = comparison.compare([read_record(folder) for folder in options.runs])
    if options.json:
        _print_json(comparison_report.to_document(compared))
    else:
        console = Console()
        # A pipe has no width, and a table for a file should not be squeezed into 80 columns.
        width = None if console.is_terminal else 1000
        comparison_report.print_table(compared, Console(width=width))
    if options.html:
        comparison_report.write_page(compared, options.html)


def import_diffusers(options: argparse.Namespace) -> None:
    """Imports a foreign model, and says where the bundle is.

    Raises:
        ForeignModelError: a name that no bundle can have, or as `import_diffusers` raises.
        ParityError: the graphs do not compute what the model computes.
    """
    if problem := name_problem(options.name):
        raise ForeignModelError(f"--name {options.name}: {problem}")
    from training.bundle.import_diffusers import Target, import_diffusers

    target = Target(**{field.name: getattr(options, field.name) for field in fields(Target)})
    bundle = import_diffusers(
        options.source, target, subfolder=options.subfolder, revision=options.revision
    )
    print(printable(f"{bundle.folder}: written"), file=sys.stderr)  # noqa: T201


def positive(text: str) -> int:
    """Reads a positive integer for argparse."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def quality(options: argparse.Namespace) -> None:
    """Measures the samples of a run or a bundle.

    Raises:
        ConfigError: both or neither are given.
    """
    from training.evaluation.sample_quality import MNIST, bundle_quality, quality

    if bool(options.workdir) is bool(options.bundle):
        raise ConfigError("quality: give either --workdir or --bundle")
    if options.bundle:
        bundle_quality(options.bundle, options.data or MNIST, options.set)
    else:
        quality(options.workdir, options.set)


def sweep(options: argparse.Namespace) -> None:
    """Begins a sweep, or goes on with it.

    Raises:
        ConfigError: no trial came to its end; or as `read_sweep` and `run_sweep` raise.
    """
    from training.sweep.spec import read_sweep
    from training.sweep.sweep import run_sweep

    folder = options.workdir or Path("runs") / options.sweep.stem
    ended = run_sweep(read_sweep(options.sweep), folder, overrides=given_overrides(options))
    if ended[0].bound is None:
        raise ConfigError(f"{folder}: no trial finished; summary.json says why")


def _print_json(document: Mapping[str, object]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201
