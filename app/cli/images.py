"""`sample`, `reconstruct` and `interpolate`: commands that end in one file."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.cli.connect import client_of
from app.cli.exits import CommandError, Exit, UsageError, note
from app.cli.files import check_ending, shown, write
from vaeserve.errors import ProblemError
from vaeserve.images import grid, npy, png


def sample(options: argparse.Namespace) -> Exit:
    """Draws images; says the seed, which draws them again."""
    ending = check_ending(options.output, (".png", ".npy"))
    with client_of(options) as client:
        drawn = client.sample(options.n, seed=options.seed, temperature=options.temperature)
    pixels = drawn.images.array
    write(options.output, npy(pixels) if ending == ".npy" else png(grid(pixels)))
    model = f"{drawn.model}/{drawn.version}"
    note(f"{options.output}: {options.n} images of {model}, seed {drawn.seed}")
    return Exit.DONE


def reconstruct(options: argparse.Namespace) -> Exit:
    """Writes the reconstruction of an image, in the model's size, and says how far off it is."""
    check_ending(options.output, (".png",))
    with _images([options.image]), client_of(options) as client:
        made = client.reconstruct([options.image])
    write(options.output, png(made.images[0]))
    kl = "" if made.kl is None else f", KL {made.kl[0]:.4g} nats"
    note(f"{options.output}: squared error {made.squared_error[0]:.4g}{kl}")
    return Exit.DONE


def interpolate(options: argparse.Namespace) -> Exit:
    """Writes the way from one image or seed to another."""
    ending = check_ending(options.output, (".png", ".gif", ".webp", ".npy"))
    if bool(options.ends) == bool(options.seeds) or len(options.ends) not in (0, 2):
        raise UsageError("interpolate needs two images, or --seeds with two seeds")
    if ending not in (".gif", ".webp") and (options.milliseconds or options.bounce):
        raise UsageError("--milliseconds and --bounce apply only to .gif and .webp")
    suffix: Any = ending[1:]
    with _images(options.ends), client_of(options) as client:
        made = client.interpolate_file(
            suffix,
            options.ends or None,
            seeds=options.seeds,
            steps=options.steps,
            path=options.path,
            milliseconds=options.milliseconds,
            bounce=options.bounce or None,
        )
    write(options.output, made.content)
    note(f"{options.output}: {options.steps or 8} images")
    return Exit.DONE


@contextlib.contextmanager
def _images(paths: Sequence[Path]) -> Iterator[None]:
    """A block that sends these images; a problem with one of them has its name.

    Raises:
        UsageError: a path is not that of a file.
        CommandError: the service can't use an image.
    """
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
    try:
        yield
    except ProblemError as problem:
        if problem.field != "images" or problem.index is None:
            raise
        raise CommandError(f"{shown(paths[problem.index])}: {problem.detail}") from problem
