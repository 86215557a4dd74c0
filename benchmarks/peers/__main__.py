"""`python -m benchmarks.peers install`: installs the environments of the other model servers."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.peers import environments


def main(arguments: Sequence[str] | None = None) -> int:
    """Installs or locks; returns 1 if pip failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        epilog="Unknown options are passed to pip.",
    )
    parser.add_argument(
        "action",
        choices=("install", "lock"),
        help="install: the pinned versions, unless they are installed; lock: write new pins",
    )
    # No `choices`: before Python 3.14 argparse would check the empty default against them.
    parser.add_argument("peers", nargs="*", help=f"{', '.join(environments.WANTED)} (all)")
    options, pip_options = parser.parse_known_args(arguments)
    if unknown := set(options.peers) - environments.WANTED.keys():
        known = ", ".join(environments.WANTED)
        parser.error(f"unknown peer: {', '.join(sorted(unknown))}; the peers are {known}")
    try:
        for peer in options.peers or environments.WANTED:
            if options.action == "lock":
                environments.lock(peer, pip_options)
            elif not environments.is_current(peer):
                print(f"installing {peer}", file=sys.stderr)
                environments.install(peer, pip_options)
    except subprocess.CalledProcessError as error:
        print(f"benchmarks.peers: pip ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
