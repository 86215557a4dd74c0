"""How many images there are, and how many of them were done."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.batches import Batches
from app.cli.exits import CommandError, Exit, UsageError
from app.cli.files import ENDINGS, images_below
from app.cli.progress import note


def count(paths: Sequence[Path], *, at_least: int = 0) -> int:
    """How many images lie below the paths; counting ends where there are `at_least`, if given.

    Raises:
        UsageError: fewer.
    """
    found = sum(1 for _ in itertools.islice(images_below(paths), at_least or None))
    if found < at_least:
        msg = f"there is no image ({', '.join(ENDINGS)}) in {', '.join(map(str, paths))}"
        raise UsageError(msg)
    return found


def summary(batches: Batches[Any], done: str) -> Exit:
    """Says what was skipped, and gives the exit code.

    Raises:
        CommandError: nothing was done.
    """
    skipped = len(batches.skipped)
    if not batches.done:
        msg = f"none of {skipped} files could be {done}"
        raise CommandError(msg)
    if not skipped:
        return Exit.DONE
    note(f"{batches.done} images {done}, {skipped} file{'s' * (skipped > 1)} skipped")
    return Exit.SKIPPED
