"""`vaetrain` (or `python -m training`): each stage a command over the files of one workdir."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from training import import_options, sweep_options
from training.config import TrainingConfig, preset_names, read_config
from training.errors import TrainingError
from training.overrides import Override

IMPORT = "import-diffusers"
SWEEP = "sweep"

_STAGES = {
    "export": "write the ONNX graphs, checked against torch, and the golden batch",
    "evaluate": "measure the graphs on the test pictures",
    "reference": "measure the bounds of held-out pictures, which /score compares with",
    "figures": "draw loss curves, reconstructions, samples, the latent space and traversals",
    "bundle": "assemble the bundle that the service loads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 2 for a mistake in usage or data, 1 for a failure."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except TrainingError as error:
        print(f"vaetrain: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("vaetrain: interrupted", file=sys.stderr)  # noqa: T201
        return 128 + signal.SIGINT
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == IMPORT:
        import_options.run(options)
        return
    if options.command == SWEEP:
        sweep_options.run(options)
        return
    # Imported late, as torch takes seconds and `--help` should not.
    from training import stages

    if options.command in ("fit", "run"):
        config = _config(options)
        workdir = options.workdir or Path("runs") / Path(options.preset).stem
        stage = stages.run if options.command == "run" else stages.fit
        stage(config, workdir, resume=options.resume)
    elif options.command == "add-reference":
        _add_reference(options)
    else:
        stages.STAGES[options.command](options.workdir, options.set)


def _add_reference(options: argparse.Namespace) -> None:
    from training.addition import add_reference

    written = add_reference(
        options.bundle,
        options.data,
        root=options.root,
        version=options.version,
        overrides=options.set,
    )
    print(written.folder)  # noqa: T201


def _config(options: argparse.Namespace) -> TrainingConfig:
    shortcuts = {
        "--seed": ("seed", options.seed),
        "--threads": ("threads", options.threads),
        "--device": ("device", options.device),
        "--data": ("data.source", options.data),
    }
    named = [
        Override(key, value, f"{option} {value}")
        for option, (key, value) in shortcuts.items()
        if value is not None
    ]
    return read_config(options.preset, [*options.set, *named])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vaetrain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("fit", "train; weights, checkpoint and metrics go to the workdir"),
        ("run", "all stages: fit, export, evaluate, reference, figures, bundle"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        presets = ", ".join(preset_names())
        command.add_argument("preset", help=f"one of {presets}, or a TOML file of your own")
        command.add_argument("--data", metavar="SOURCE", help="hub name, or folder of pictures")
        command.add_argument("--workdir", type=Path, help="the run's folder (runs/PRESET)")
        command.add_argument("--resume", action="store_true", help="continue a run that stopped")
        command.add_argument("--seed", type=int)
        command.add_argument("--threads", type=int, help="CPU threads (0: all)")
        command.add_argument("--device", choices=("auto", "cpu", "cuda"))
        _add_set(command)
    for name, text in _STAGES.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
        _add_set(command)
    text = "write a bundle's next version: the same graphs, and a reference for /score"
    command = commands.add_parser("add-reference", help=text, description=text)
    command.add_argument("bundle", type=Path, help="the bundle's folder, ROOT/NAME/VERSION")
    command.add_argument("--data", metavar="SOURCE", required=True, help="what it was trained on")
    command.add_argument("--root", type=Path, help="where to write it (beside the bundle)")
    command.add_argument("--version", type=int, help="its version (one more than the bundle's)")
    _add_set(command)
    text = "train several presets or settings and compare them; started again, it goes on"
    command = commands.add_parser(SWEEP, help=text, description=text)
    sweep_options.add(command)
    _add_set(command)
    text = "make a bundle of a model that diffusers saved"
    import_options.add(commands.add_parser(IMPORT, help=text, description=text))
    return parser


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, for example epochs=3 or optimiser.learning_rate=1e-3",
    )


if __name__ == "__main__":
    sys.exit(main())
