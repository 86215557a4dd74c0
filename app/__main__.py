"""`python -m app`, also installed as `vaeserve`: serves, or runs one of the other commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_GLOBAL_OPTIONS = frozenset({"-h", "--help", "--version"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; without one, or with settings alone, it serves."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        del given[0]
    elif given and (given[0] in _GLOBAL_OPTIONS or not given[0].startswith("-")):
        # Imported here, because serving does not need the commands, nor they the server.
        from app.cli.main import main as run

        return run(given)
    from app.server.run import run as serve

    serve(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
