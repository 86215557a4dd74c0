"""`sample`, `reconstruct` and `interpolate`: commands that end in one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

from app.cli import output
from app.cli.exits import CommandError, Exit, UsageError
from app.cli.files import shown
from app.cli.progress import note
from app.cli.service import client_of
from vaeserve.errors import ProblemError

_SUFFIXES: dict[str, Literal["png", "gif", "webp", "npy"]] = {
    ".png": "png",
    ".gif": "gif",
    ".webp": "webp",
    ".npy": "npy",
}


def sample(options: argparse.Namespace) -> Exit:
    """Draws images; says the seed, which draws them again."""
    ending = output.check_ending(options.output, (".png", ".npy"))
    with client_of(options) as client:
        drawn = client.sample(options.n, seed=options.seed, temperature=options.temperature)
    from app.codecs import images, npy

    if ending == ".npy":
        output.write(options.output, npy.dump(drawn.images.array))
    else:
        output.write(options.output, images.png(images.grid(drawn.images.array)))
    whose = f"{drawn.model}/{drawn.version}"
    note(f"{options.output}: {options.n} images of {whose}, seed {drawn.seed}")
    return Exit.DONE


def reconstruct(options: argparse.Namespace) -> Exit:
    """Writes the reconstruction of an image, in the model's size, and says how far off it is."""
    output.check_ending(options.output, (".png",))
    _check_file(options.image)
    with client_of(options) as client:
        try:
            made = client.reconstruct([options.image])
        except ProblemError as problem:
            raise _named(problem, [options.image]) from problem
    from app.codecs import images

    output.write(options.output, images.png(made.images[0]))
    kl = "" if made.kl is None else f", KL {made.kl[0]:.4g} nats"
    note(f"{options.output}: squared error {made.squared_error[0]:.4g}{kl}")
    return Exit.DONE


def interpolate(options: argparse.Namespace) -> Exit:
    """Writes the way from one image or seed to another."""
    ending = output.check_ending(options.output, tuple(_SUFFIXES))
    given: dict[str, Any] = {"seeds": tuple(options.seeds)} if options.seeds else {}
    if bool(options.ends) == bool(given) or len(options.ends or (0, 1)) != 2:
        msg = "interpolate takes two images, or --seeds with two seeds"
        raise UsageError(msg)
    for path in options.ends:
        _check_file(path)
    if ending not in (".gif", ".webp") and (options.milliseconds or options.bounce):
        msg = "--milliseconds and --bounce are for animations, .gif and .webp"
        raise UsageError(msg)
    with client_of(options) as client:
        try:
            made = client.interpolate_file(
                _SUFFIXES[ending],
                options.ends or None,
                steps=options.steps,
                path=options.path,
                milliseconds=options.milliseconds,
                bounce=options.bounce or None,
                **given,
            )
        except ProblemError as problem:
            raise _named(problem, options.ends) from problem
    output.write(options.output, made.content)
    note(f"{options.output}: {options.steps or 8} images")
    return Exit.DONE


def _check_file(path: Path) -> None:
    if not path.is_file():
        msg = f"{path} is no file"
        raise UsageError(msg)


def _named(problem: ProblemError, paths: list[Path]) -> Exception:
    """The problem, with the name of the image where it is about one."""
    if problem.field != "images" or problem.index is None or problem.index >= len(paths):
        return problem
    return CommandError(f"{shown(paths[problem.index])}: {problem.detail}")
