"""Runs one command, and turns whatever happens into an exit code and a sentence."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from app.cli.exits import CommandError, Exit, exit_of
from app.cli.parser import parser
from app.cli.progress import note
from vaeserve.errors import ClientError


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code, one of `app.cli.exits.Exit`.

    Raises:
        SystemExit: the arguments are wrong (2), or ask for help (0).
    """
    options = parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python writes at its own end would fail again, and be complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.NO_READER
    except KeyboardInterrupt:
        note("interrupted")
        return Exit.INTERRUPTED
    except CommandError as error:
        note(str(error))
        return error.code
    except ClientError as error:
        note(_sentence(error, options))
        return exit_of(error)
    except OSError as error:
        note(str(error))
        return Exit.FAILED
    return code


def _run(options: argparse.Namespace) -> Exit:
    if options.version:
        from importlib.metadata import version

        print(f"vaeserve {version('vaeserve')}")  # noqa: T201 the result
        return Exit.DONE
    return _command(options.command)(options)


def _command(name: str) -> Callable[[argparse.Namespace], Exit]:
    """The function of a command; each brings what it needs and no more."""
    if name == "encode":
        from app.cli.encoding import encode

        return encode
    if name == "score":
        from app.cli.scoring import score

        return score
    if name == "models":
        from app.cli.models import models

        return models
    from app.cli import images

    return {
        "sample": images.sample,
        "reconstruct": images.reconstruct,
        "interpolate": images.interpolate,
    }[name]


def _sentence(error: ClientError, options: argparse.Namespace) -> str:
    where = options.url or "the service in this process"
    return f"{where}: {error}"
