"""Prints what `pyproject.toml` requires, a line each: the base's, or one extra's alone.

`python deploy/requirements.py [EXTRA]`, so that an image can install dependencies before the code.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extra: str | None = None) -> list[str]:
    """Requirements as PEP 508 strings; KeyError for an extra that does not exist."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    found = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return list(map(str, found))


if __name__ == "__main__":
    print(*requirements(*sys.argv[1:]), sep="\n")
