"""The commands of `vaetrain` and their options, as one table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.cli import commands
from training.config.presets import preset_names

Options = Mapping[str, Mapping[str, Any]]
"""By name or flag, what `add_argument` takes."""


Command = tuple[str, Callable[[argparse.Namespace], None], Options]
"""What a command is for, what runs it, and its options."""

_PRESETS = f"one of {', '.join(preset_names())}, or a TOML file"
_BUNDLE = "a bundle's folder, ROOT/NAME/VERSION"
_SOURCE = "hub name, folder or parquet files"

_SET: Options = {
    "--set": {
        "action": "append",
        "default": [],
        "metavar": "KEY=VALUE",
        "help": "change a setting, for example epochs=3 or optimiser.learning_rate=1e-3",
    },
}
_DATA: Options = {"--data": {"dest": "data.source", "metavar": "SOURCE", "help": _SOURCE}}
_THREADS: Options = {"--threads": {"type": int, "help": "CPU threads (0: all)"}}
_JSON: Options = {"--json": {"action": "store_true", "help": "print JSON, for machines"}}
_SIDE = {"type": commands.positive, "help": "default image size in pixels (the model's own)"}

_TRAINING: Options = {
    "preset": {"help": f"{_PRESETS} of your own"},
    "--workdir": {"type": Path, "help": "the run's folder (runs/PRESET)"},
    "--resume": {"action": "store_true", "help": "continue a run that stopped"},
    **_DATA,
    "--init": {"metavar": "BUNDLE", "help": "start from a bundle's or workdir's weights"},
    "--seed": {"type": int, "help": "seed of weights, order, binarisation and noise"},
    **_THREADS,
    "--device": {"choices": ("auto", "cpu", "cuda"), "help": "where to compute"},
    **_SET,
}
_STAGE: Options = {
    "--workdir": {"type": Path, "required": True, "help": "the run's folder"},
    **_SET,
}
_STAGES = {
    "export": "write the ONNX graphs, checked against torch, and the golden batch",
    "evaluate": "measure the graphs on the test images",
    "reference": "measure the bounds of held-out images, which /score compares with",
    "latents": "encode held-out images, for maps of the latent space",
    "figures": "draw loss curves, reconstructions, samples, the latent space and traversals",
    "bundle": "assemble the bundle that the service loads",
    "report": "write one HTML page about the run, finished or not",
}

COMMANDS: Mapping[str, Command] = {
    "fit": ("train; weights, checkpoint and metrics go to the workdir", commands.train, _TRAINING),
    "run": (f"all stages: fit, {', '.join(_STAGES)}", commands.train, _TRAINING),
    **{name: (text, commands.run_stage, _STAGE) for name, text in _STAGES.items()},
    "add-reference": (
        "write a bundle's next version, with a reference, posterior means and a card",
        commands.add_reference,
        {
            "bundle": {"type": Path, "help": _BUNDLE},
            "--data": {
                "metavar": "SOURCE",
                "required": True,
                "help": "the images that it was trained on",
            },
            "--root": {"type": Path, "help": "repository to write to (the bundle's own)"},
            "--version": {"type": int, "help": "its version (one more than the bundle's)"},
            **_SET,
        },
    ),
    "check": (
        "inspect images before training: problems, unusual images, and the run's cost",
        commands.check,
        {
            "data.source": {"metavar": "DATA", "help": _SOURCE},
            "--preset": {"default": "pictures", "help": f"{_PRESETS} (pictures)"},
            "--out": {
                "type": Path,
                "default": Path("runs/check"),
                "help": "folder for the contact sheet",
            },
            **_JSON,
            **_SET,
        },
    ),
    "compare": (
        "compare runs: differing settings, times, metrics with their errors, curves",
        commands.compare,
        {
            "runs": {"nargs": "+", "type": Path, "metavar": "RUN", "help": "a run's folder"},
            **_JSON,
            "--html": {"type": Path, "metavar": "FILE", "help": "write a page with the curves"},
        },
    ),
    "import-diffusers": (
        "convert an AutoencoderKL of diffusers to a bundle",
        commands.import_diffusers,
        {
            "source": {"help": "a folder with an AutoencoderKL, or its name on the hub"},
            "--subfolder": {"help": "its subfolder in a pipeline, such as vae"},
            "--revision": {"help": "commit, branch or tag on the hub"},
            "--name": {"required": True, "help": "the model's name"},
            "--version": {
                "type": commands.positive,
                "default": 1,
                "help": "the bundle's version (1)",
            },
            "--repository": {
                "dest": "root",
                "type": Path,
                "default": Path("bundles"),
                "metavar": "FOLDER",
                "help": "repository that receives NAME/VERSION (bundles)",
            },
            "--licence": {"default": "unknown", "help": "licence of the weights"},
            "--card": {"default": "", "help": "a short description of the model"},
            "--height": _SIDE,
            "--width": _SIDE,
            "--max-size": {
                "type": commands.positive,
                "default": 1024,
                "help": "largest height and width (1024)",
            },
        },
    ),
    "quality": (
        "measure samples as MNIST digits; a run's results go into its metrics",
        commands.quality,
        {
            "--workdir": {"type": Path, "help": "the run's folder"},
            "--bundle": {"type": Path, "help": _BUNDLE},
            "--data": {"metavar": "SOURCE", "help": "MNIST, for a bundle (ylecun/mnist)"},
            **_SET,
        },
    ),
    "sweep": (
        "train several presets or settings and compare them; repeat it to continue",
        commands.sweep,
        {
            "sweep": {"type": Path, "help": "a TOML file: what varies, and how to search"},
            "--workdir": {"type": Path, "help": "the sweep's folder (runs/SWEEP)"},
            **_DATA,
            **_THREADS,
            **_SET,
        },
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it returns has the command's function as `run`."""
    parser = argparse.ArgumentParser(
        prog="vaetrain", description="Each stage is a command that works on the files of a workdir."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, run, options) in COMMANDS.items():
        command = subparsers.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        for option, about in options.items():
            command.add_argument(option, **about)
    return parser
