"""`vaetrain` (or `python -m training`): each stage a command over the files of one workdir."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from training import check_options, compare_options, import_options, sweep_options
from training.config import TrainingConfig
from training.config_file import preset_names, read_config
from training.errors import TrainingError
from training.overrides import Override, add_set

_STAGES = {
    "export": "write the ONNX graphs, checked against torch, and the golden batch",
    "evaluate": "measure the graphs on the test pictures",
    "reference": "measure the bounds of held-out pictures, which /score compares with",
    "latents": "encode held-out pictures, for maps of the latent space",
    "figures": "draw loss curves, reconstructions, samples, the latent space and traversals",
    "bundle": "assemble the bundle that the service loads",
    "report": "write one HTML page of what the run has come to, finished or not",
}


_APART = {
    "check": check_options,
    "compare": compare_options,
    "import-diffusers": import_options,
    "sweep": sweep_options,
}
"""Commands whose options have a module of their own."""


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
    if options.command in _APART:
        _APART[options.command].run(options)
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
    elif options.command == "quality" and options.bundle:
        _bundle_quality(options)
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


def _bundle_quality(options: argparse.Namespace) -> None:
    from training.quality import MNIST, bundle_quality

    bundle_quality(options.bundle, options.data or MNIST, options.set)


def _config(options: argparse.Namespace) -> TrainingConfig:
    shortcuts = {
        "--seed": ("seed", options.seed),
        "--threads": ("threads", options.threads),
        "--device": ("device", options.device),
        "--data": ("data.source", options.data),
        "--init": ("init", options.init),
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
        ("run", f"all stages: fit, {', '.join(_STAGES)}"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        presets = ", ".join(preset_names())
        command.add_argument("preset", help=f"one of {presets}, or a TOML file of your own")
        command.add_argument("--data", metavar="SOURCE", help="hub name, folder or parquet files")
        command.add_argument("--workdir", type=Path, help="the run's folder (runs/PRESET)")
        command.add_argument("--resume", action="store_true", help="continue a run that stopped")
        command.add_argument(
            "--init", metavar="BUNDLE", help="start from the weights of a bundle or workdir"
        )
        command.add_argument("--seed", type=int)
        command.add_argument("--threads", type=int, help="CPU threads (0: all)")
        command.add_argument("--device", choices=("auto", "cpu", "cuda"))
        add_set(command)
    for name, text in _STAGES.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
        add_set(command)
    text = "measure samples as digits of MNIST; figures of a run go to its metrics"
    command = commands.add_parser("quality", help=text, description=text)
    measured = command.add_mutually_exclusive_group(required=True)
    measured.add_argument("--workdir", type=Path, help="the run's folder")
    measured.add_argument("--bundle", type=Path, help="a bundle's folder, ROOT/NAME/VERSION")
    command.add_argument("--data", metavar="SOURCE", help="MNIST, for a bundle (ylecun/mnist)")
    add_set(command)
    text = "write a bundle's next version: the same graphs, a reference, posterior means, a card"
    command = commands.add_parser("add-reference", help=text, description=text)
    command.add_argument("bundle", type=Path, help="the bundle's folder, ROOT/NAME/VERSION")
    command.add_argument("--data", metavar="SOURCE", required=True, help="what it was trained on")
    command.add_argument("--root", type=Path, help="where to write it (beside the bundle)")
    command.add_argument("--version", type=int, help="its version (one more than the bundle's)")
    add_set(command)
    for name, module in _APART.items():
        module.add(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


if __name__ == "__main__":
    sys.exit(main())
