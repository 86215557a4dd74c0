"""`vaetrain` (or `python -m training`): each stage a command over the files of one workdir."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from training.cli.options import build_parser
from training.errors import TrainingError
from training.text import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 2 for a mistake in usage or data, 1 for a failure."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except TrainingError as error:
        shown = printable(str(error), keep="\n")
        print(f"vaetrain: {shown}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("vaetrain: interrupted", file=sys.stderr)  # noqa: T201
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
