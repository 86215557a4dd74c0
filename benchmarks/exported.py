"""The bundles that are measured, exported first where they are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from model.bundle.bundle import Bundle, BundleError, open_bundle

EXPORTED = ("heavy", "small")

_FOLDER = Path(__file__).parent / "bundles"


def find_bundle(named: str) -> tuple[str, Bundle]:
    """`heavy` and `small`, exported first where they are missing, or a bundle's folder.

    Raises:
        BundleError: there is no bundle in the folder, or it is damaged; or exporting failed.
    """
    if named not in EXPORTED:
        bundle = open_bundle(Path(named))
        return bundle.manifest.name, bundle
    # In a process of its own: torch is large, and its threads have no place in this one.
    command = [sys.executable, "-m", "benchmarks.bundles", "--model", named]
    exported = subprocess.run(command, check=False)
    if exported.returncode:
        msg = f"the {named} model was not exported; that needs torch, which `make setup` installs"
        raise BundleError(msg)
    return named, open_bundle(_FOLDER / named / "1")
