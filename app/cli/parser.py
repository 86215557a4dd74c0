"""The command line: commands, their options and their help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from app.cli.encoding import encode
from app.cli.exits import MEANINGS
from app.cli.images import interpolate, reconstruct, sample
from app.cli.models import models
from app.cli.scoring import score
from vaeserve.results import Binarise, Way

COMMANDS = {
    "serve": "serve models over HTTP; the default command",
    "sample": "draw images from the prior into a grid or an array",
    "reconstruct": "encode an image and decode its mean",
    "encode": "write the latents of images to a file",
    "score": "list the least typical images, the worst first",
    "interpolate": "go from one image to another, as a strip or an animation",
    "models": "list the models and what they can do",
}

URL_VARIABLE = "VAE_URL"


def parser(environment: Mapping[str, str] = os.environ) -> argparse.ArgumentParser:
    """The parser of every command but `serve`, whose options are the settings."""
    codes = "\n".join(f"  {code.value:<4}{meaning}" for code, meaning in MEANINGS.items())
    made = argparse.ArgumentParser(
        prog="vaeserve",
        description="Serves variational autoencoders over HTTP, or runs them from here.",
        epilog="`vaeserve COMMAND --help` lists a command's options. Without a command, "
        f"vaeserve serves.\nWithout --url and {URL_VARIABLE}, a command loads the models "
        f"itself and needs no service.\n\nexit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"vaeserve {version('vaeserve')}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands.add_parser("serve", help=COMMANDS["serve"], add_help=False)
    for name, add_options in _OPTIONS.items():
        about = COMMANDS[name]
        sentence = f"{about[0].upper()}{about[1:]}."
        command = commands.add_parser(name, help=about, description=sentence)
        add_options(command)
        _add_service(command, environment)
    return made


def _add_sample(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=sample)
    command.add_argument("-n", type=_positive, default=64, help="number of images (64)")
    command.add_argument("--seed", type=_natural, help="0 … 2^53 − 1; random by default")
    command.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="0 … 10 (1); lower values draw more typical images",
    )
    _add_output(command, "grid.png, or .npy for uint8 [n, h, w, c]")


def _add_reconstruct(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=reconstruct)
    command.add_argument("image", type=Path, help="PNG, JPEG or WebP")
    command.add_argument("output", type=Path, help="a .png")


def _add_encode(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=encode)
    _add_images(command)
    _add_output(command, "latents.parquet, .npz, .csv, or .npy for only the means")


def _add_score(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=score)
    _add_images(command)
    command.add_argument(
        "--top", type=_natural, default=20, help="number of images to list (20); 0 lists all"
    )
    command.add_argument("--samples", type=_positive, help="importance samples for each image")
    command.add_argument("--binarise", choices=get_args(Binarise))
    command.add_argument("--seed", type=_natural, help="seed of every request's samples")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="comma-separated, with a header")
    form.add_argument("--json", action="store_true", help="one JSON object")


def _add_interpolate(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=interpolate)
    command.add_argument("ends", type=Path, nargs="*", metavar="IMAGE", help="two images")
    command.add_argument("--seeds", type=_natural, nargs=2, help="two seeds instead of images")
    command.add_argument(
        "--steps", type=_positive, help="number of images including both endpoints"
    )
    command.add_argument("--path", choices=get_args(Way))
    command.add_argument(
        "--milliseconds", type=_positive, help="how long an animation shows each image"
    )
    command.add_argument("--bounce", action="store_true", help="also play an animation backwards")
    _add_output(command, "strip.png, walk.gif, .webp, or .npy")


def _add_models(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=models)
    command.add_argument("--json", action="store_true", help="one JSON object")


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "sample": _add_sample,
    "reconstruct": _add_reconstruct,
    "encode": _add_encode,
    "score": _add_score,
    "interpolate": _add_interpolate,
    "models": _add_models,
}


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "images", type=Path, nargs="+", metavar="PATH", help="image, or folder of images"
    )
    command.add_argument("--strict", action="store_true", help="stop at the first invalid image")


def _add_output(command: argparse.ArgumentParser, endings: str) -> None:
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=endings)


def _add_service(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    group = command.add_argument_group("which service")
    group.add_argument(
        "--url",
        default=environment.get(URL_VARIABLE, ""),
        help=f"a running service, such as http://localhost:8000 (or {URL_VARIABLE})",
    )
    group.add_argument(
        "--repository",
        metavar="FOLDERS",
        help="folders of bundles, without --url (or VAE_REPOSITORY)",
    )
    group.add_argument("--model", metavar="NAME[/VERSION]", help="the model to use")
    group.add_argument(
        "--timeout", type=_seconds, default=120.0, help="seconds to wait for each response (120)"
    )


def _integer(least: int, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, got {text!r}")
    return int(text)


_positive = partial(_integer, 1)
_natural = partial(_integer, 0)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be seconds above 0, up to 3600, got {text!r}")
    return seconds
