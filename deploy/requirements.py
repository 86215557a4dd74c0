"""Prints the requirements of `pyproject.toml`, one a line: those of the base, or of one extra.

Run `python deploy/requirements.py [EXTRA]`. Images use it to install dependencies before the code.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extra: str | None = None) -> list[str]:
    """Returns PEP 508 strings. Raises KeyError if the extra does not exist."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    found = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return list(map(str, found))


if __name__ == "__main__":
    print(*requirements(*sys.argv[1:]), sep="\n")
