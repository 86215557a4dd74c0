"""The options of `vaetrain sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.config.overrides import add_shortcuts, given_overrides
from training.errors import ConfigError
from training.sweep.spec import read_sweep

HELP = "train several presets or settings and compare them; started again, it goes on"


def add(command: argparse.ArgumentParser) -> None:
    """Adds them to the command."""
    command.add_argument("sweep", type=Path, help="a TOML file: what varies, and how to search")
    command.add_argument("--workdir", type=Path, help="the sweep's folder (runs/SWEEP)")
    add_shortcuts(command, "data", "threads")


def run(options: argparse.Namespace) -> None:
    """Begins a sweep, or goes on with it.

    Raises:
        ConfigError: no trial came to its end; or as `read_sweep` and `run_sweep` raise.
    """
    sweep = read_sweep(options.sweep)
    # Imported late, as torch takes seconds and `--help` should not.
    from training.sweep.sweep import run_sweep

    folder = options.workdir or Path("runs") / options.sweep.stem
    ended = run_sweep(sweep, folder, overrides=given_overrides(options))
    if ended[0].bound is None:
        msg = f"{folder}: no trial came to its end; summary.json says why"
        raise ConfigError(msg)
