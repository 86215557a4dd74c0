"""Runs one command, and turns whatever happens into an exit code and a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from app.cli.exits import CommandError, Exit, exit_of, note
from app.cli.parser import parser
from vaeserve.errors import ClientError


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code, one of `app.cli.exits.Exit`.

    Raises:
        SystemExit: the arguments are wrong (2), or ask for help or the version (0).
    """
    options = parser().parse_args(arguments)
    try:
        code: Exit = options.run(options)
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
        note(f"{options.url or 'the service in this process'}: {error}")
        return exit_of(error)
    except OSError as error:
        note(str(error))
        return Exit.FAILED
    return code
