"""`vaetrain` (or `python -m training`): each stage a command over the files of one workdir."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from training.cli import (
    addition_options,
    check_options,
    compare_options,
    import_options,
    quality_options,
    sweep_options,
)
from training.config.overrides import add_set, add_shortcuts, given_overrides
from training.config.presets import preset_names, read_config
from training.errors import TrainingError
from training.text import printable

_STAGES = {
    "export": "write the ONNX graphs, checked against torch, and the golden batch",
    "evaluate": "measure the graphs on the test images",
    "reference": "measure the bounds of held-out images, which /score compares with",
    "latents": "encode held-out images, for maps of the latent space",
    "figures": "draw loss curves, reconstructions, samples, the latent space and traversals",
    "bundle": "assemble the bundle that the service loads",
    "report": "write one HTML page of what the run has come to, finished or not",
}


_APART = {
    "add-reference": addition_options,
    "check": check_options,
    "compare": compare_options,
    "import-diffusers": import_options,
    "quality": quality_options,
    "sweep": sweep_options,
}
"""Commands whose options have a module of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 2 for a mistake in usage or data, 1 for a failure."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except TrainingError as error:
        shown = printable(str(error), keep="\n")
        print(f"vaetrain: {shown}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("vaetrain: interrupted", file=sys.stderr)  # noqa: T201
        return 128 + signal.SIGINT
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command in _APART:
        _APART[options.command].run(options)
        return
    # Imported late, as torch takes seconds and `--help` should not.
    from training.cli import stages

    if options.command in ("fit", "run"):
        config = read_config(options.preset, given_overrides(options))
        workdir = options.workdir or Path("runs") / Path(options.preset).stem
        stage = stages.run if options.command == "run" else stages.fit
        stage(config, workdir, resume=options.resume)
    else:
        stages.STAGES[options.command](options.workdir, options.set)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vaetrain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("fit", "train; weights, checkpoint and metrics go to the workdir"),
        ("run", f"all stages: fit, {', '.join(_STAGES)}"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        presets = ", ".join(preset_names())
        command.add_argument("preset", help=f"one of {presets}, or a TOML file of your own")
        command.add_argument("--workdir", type=Path, help="the run's folder (runs/PRESET)")
        command.add_argument("--resume", action="store_true", help="continue a run that stopped")
        add_shortcuts(command, "data", "init", "seed", "threads", "device")
    for name, text in _STAGES.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
        add_set(command)
    for name, module in _APART.items():
        module.add(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


if __name__ == "__main__":
    sys.exit(main())
